package edge

import (
	"net/http"
	"strings"
)

// mostHead is up to how many bytes a request's head stays as it is while its client is
// answered. net/http holds the request for that long, and a wrapper of the handler may
// look at it afterwards. [ForgetHead] empties larger ones.
const mostHead = 4 << 10

// headSize returns about how many bytes a request's address and headers take.
func headSize(r *http.Request) int64 {
	n := 2*len(r.RequestURI) + len(r.Host) // twice, because the URL may hold it unescaped as well
	for name, values := range r.Header {
		n += 64 + len(name) // 64 for its map entry
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return int64(n)
}

// keptHead returns how many bytes of a request's head stay in memory while its stream
// is open, if a goroutine serves the stream.
func keptHead(r *http.Request) int64 {
	n := headSize(r)
	if n <= mostHead {
		return n
	}
	if n = mostHead; r.ProtoMajor == 1 {
		n += int64(len(r.RequestURI)) // the connection keeps the method, a substring of the request line
	}
	return n
}

// ForgetHead empties r if its head takes more than 4 KiB, to free that memory while a
// slow client is served. Call it when everything needed from r has been read. The path
// stays, up to 4 KiB of it. If w is from [Bound], the server's own request is
// emptied too, because r may be a copy.
func ForgetHead(w http.ResponseWriter, r *http.Request) {
	if headSize(r) > mostHead {
		forgetHead(w, r)
	}
}

func forgetHead(w http.ResponseWriter, r *http.Request) {
	empty(r)
	if t := timed(w); t != nil {
		empty(t.request)
	}
}

// empty removes from r every header and every part of the request line.
func empty(r *http.Request) {
	clear(r.Header) // copies of the request share this map, and the URL
	r.Header = http.Header{}
	r.Method, r.Proto, r.URL.Path = strings.Clone(r.Method), strings.Clone(r.Proto), strings.Clone(r.URL.Path[:min(len(r.URL.Path), mostHead)])
	r.URL.RawPath, r.URL.RawQuery, r.URL.Fragment, r.URL.RawFragment = "", "", "", ""
	r.URL.Scheme, r.URL.Opaque, r.URL.Host, r.URL.User = "", "", "", nil
	r.RequestURI, r.Host, r.Pattern = "", "", ""
	r.Form, r.PostForm = nil, nil
}
