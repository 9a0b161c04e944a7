package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// A site is the test's own web server. It accepts any host name and serves
// testdata/recorder.html at /.
type site struct {
	*http.ServeMux
	port string
}

func startSite(t *testing.T) *site {
	t.Helper()
	s := &site{ServeMux: http.NewServeMux()}
	s.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/recorder.html") })
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.port = u.Port()
	return s
}

// handleDir serves the files of a directory below path.
func (s *site) handleDir(path, dir string) {
	s.Handle(path, http.StripPrefix(path, http.FileServer(http.Dir(dir))))
}

// origin returns the site's origin under a host name.
func (s *site) origin(host string) string { return "http://" + host + ":" + s.port }

// openRecorder opens the recorder on a site of its own, so every hub is another
// origin to it.
func openRecorder(t *testing.T) *tab {
	t.Helper()
	return openTab(t, startSite(t).origin("127.0.0.1")+"/")
}
