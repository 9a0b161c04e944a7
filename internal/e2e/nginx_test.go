package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nginxConfig sets nothing about buffering, compression or timeouts. From "server"
// on, it is the configuration of nginx's beginner's guide.
const nginxConfig = `
daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
%[4]s
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		location / {
			proxy_pass http://%[3]s;
		}
	}
}
`

// startNginx runs nginx as a proxy of upstream and returns its URL.
func startNginx(t *testing.T, upstream string) string {
	t.Helper()
	path := require(t, "nginx", "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	addr := address(freePort(t))
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // no other user may enter the directory
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, addr, upstream, user), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command(path, "-p", dir, "-e", "stderr", "-c", config))
	t.Cleanup(func() { // a killed nginx would leave its workers behind
		p.signal(t, syscall.SIGTERM)
		p.wait(t)
	})
	eventually(t, "nginx to listen", func() (bool, string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, p.output.String()
		}
		_ = conn.Close()
		return true, ""
	})
	return "http://" + addr
}

// nginx passes on the hub's answer to a body that the hub refuses, although nginx
// sends the whole body before it reads the answer.
func TestRefusalBehindNginx(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--max-body", "64KiB")
	nginx := startNginx(t, h.addr)
	for _, tt := range []struct {
		method, path string
		size, status int
	}{
		{"POST", "/events/news", 1_000_000, http.StatusRequestEntityTooLarge},
		{"POST", "/.well-known/mercure", 1_000_000, http.StatusRequestEntityTooLarge},
		{"PUT", "/events/news", 1_000_000, http.StatusMethodNotAllowed},
		{"PUT", "/events/news", 200_000, http.StatusMethodNotAllowed},
		{"POST", "/console/", 1_000_000, http.StatusMethodNotAllowed},
	} {
		for range 5 {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, nginx+tt.path, strings.NewReader(strings.Repeat("x", tt.size)))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s of %d bytes: %s, %.200s", tt.method, tt.path, tt.size, resp.Status, body)
			}
		}
	}
}

// nginx buffers responses unless a header of the response turns that off. The
// hub's headers alone make events arrive one by one.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	nginx := startNginx(t, h.addr)

	s := openRaw(t, nginx+"/events/news")
	for name, want := range map[string]string{
		"Content-Type":      "text/event-stream",
		"Cache-Control":     "no-cache, no-transform",
		"X-Accel-Buffering": "", // nginx removes it
		"Content-Encoding":  "",
		"Content-Length":    "",
	} {
		if got := s.header.Get(name); got != want {
			t.Errorf("%s is %q behind nginx, want %q", name, got, want)
		}
	}
	if got := s.next(t, "retry"); got["retry"] != "300" || got["event"] != "position" || got["id"] == "" {
		t.Errorf("the stream begins with %q", got)
	}
	for n := range 5 { // each must arrive before the next is published
		id, data := h.publish("news", fmt.Sprint("event ", n)), fmt.Sprint("event ", n)
		if got := s.next(t, "data"); got["id"] != id || got["data"] != data {
			t.Fatalf("want %q with id %s, got %q", data, id, got)
		}
	}

	page := openTab(t, nginx+"/demo/clock/")
	page.until(`document.querySelector("#state")?.dataset.state === "open"`)
	for range 2 {
		tick := page.text("#tick")
		page.until(`document.querySelector("#tick").textContent !== $1`, tick)
	}
	page.noProblems(false)
}
