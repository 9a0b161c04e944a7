package httpapi

import (
	"net/http"
	"strings"
)

// mostHead is how many bytes a request's head may take that is left as it is while a
// client is answered. For so long net/http holds the request, and whatever wraps the
// handler may look at it afterwards. A larger one is emptied, see [ForgetHead].
const mostHead = 4 << 10

// headSize returns about how many bytes a request's address and headers take.
func headSize(r *http.Request) int64 {
	n := 2*len(r.RequestURI) + len(r.Host) // in the URL it may be unescaped
	for name, values := range r.Header {
		n += 64 + len(name) // its place in the map
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return int64(n)
}

// keptHead returns how many bytes of a request's head are held as long as its stream is
// open, if that has a goroutine.
func keptHead(r *http.Request) int64 {
	n := headSize(r)
	if n <= mostHead {
		return n
	}
	if n = mostHead; r.ProtoMajor == 1 {
		n += int64(len(r.RequestURI)) // the connection keeps the method, which is a part of the request line
	}
	return n
}

// ForgetHead empties a request whose head is large, once all that is needed has been read
// from it and before a client is waited for, which may take its time. Of the address, the
// path stays, as far as it fits. A w of [TimeWrites] knows the server's own request, of which r may be a copy.
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

// empty leaves r without anything that is a part of the request line, or a header.
func empty(r *http.Request) {
	clear(r.Header) // other copies of the request have the same map, and URL
	r.Header = http.Header{}
	r.Method, r.Proto, r.URL.Path = strings.Clone(r.Method), strings.Clone(r.Proto), strings.Clone(r.URL.Path[:min(len(r.URL.Path), mostHead)])
	r.URL.RawPath, r.URL.RawQuery, r.URL.Fragment, r.URL.RawFragment = "", "", "", ""
	r.URL.Scheme, r.URL.Opaque, r.URL.Host, r.URL.User = "", "", "", nil
	r.RequestURI, r.Host, r.Pattern = "", "", ""
	r.Form, r.PostForm = nil, nil
}
