package daemon

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestListsNobodyReads requests each list 300 times on an HTTP/2 connection whose
// window is 0. The memory of the waiting answers is counted and bounded, none is
// refused, and all end at the write timeout.
func TestListsNobodyReads(t *testing.T) {
	const answers, streams, selectors = 300, 200, 15 // of 4,000 bytes each: a list of 12 MB
	const timeout = 2 * time.Second
	r := runHub(t, "--no-auth", "--mercure-subscriptions", "--write-timeout", timeout.String())
	c := r.client(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	t.Cleanup(c.CloseIdleConnections)
	var batch strings.Builder
	for i := range 1100 { // more than a page
		fmt.Fprintf(&batch, `{"topic":"%d/%s","data":"x"}`+"\n", i, strings.Repeat("t", 100))
	}
	resp, err := c.Post("http://localhost/events", "application/x-ndjson", strings.NewReader(batch.String()))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	for i := range streams {
		q := url.Values{}
		for j := range selectors {
			q.Add("topic", fmt.Sprint(i, "/", j, "/", strings.Repeat("x", 3990)))
		}
		resp, err := c.Get("http://localhost/events?" + q.Encode())
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		defer func() { _ = resp.Body.Close() }()
	}
	for _, path := range []string{"/subscriptions?limit=1000", "/subscriptions?limit=1000&topic=*", "/.well-known/mercure/subscriptions", "/topics"} {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		asked := time.Now()
		framer := askWithoutWindow(t, conn, path, answers)
		begun, reset := map[uint32]bool{}, map[uint32]bool{}
		for len(begun) < answers {
			switch f := nextFrame(t, framer).(type) {
			case *http2.MetaHeadersFrame:
				if status := f.PseudoValue("status"); status != "200" {
					t.Fatalf("%s: an answer is %s", path, status)
				}
				begun[f.StreamID] = true
			case *http2.RSTStreamFrame: // of one of the first, on a slow machine
				begun[f.StreamID], reset[f.StreamID] = true, true
			}
		}
		held := listBytes(t, c)
		t.Logf("%s: %d answers hold %d bytes", path, answers, held)
		all := len(reset) == 0 && time.Since(asked) < timeout
		if held > answers*(600<<10) || all && held < answers*(100<<10) {
			t.Errorf("%s: %d answers hold %d bytes", path, answers, held)
		}
		for len(reset) < answers {
			if f, ok := nextFrame(t, framer).(*http2.RSTStreamFrame); ok {
				reset[f.StreamID] = true
			}
		}
		for deadline := time.Now().Add(20 * time.Second); listBytes(t, c) != 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d bytes are held after the answers have ended", path, listBytes(t, c))
			}
		}
	}
}

// askWithoutWindow requests a path several times on an HTTP/2 connection on which the
// server may send no data (RFC 9113 §6.9.2).
func askWithoutWindow(t *testing.T, conn net.Conn, path string, times int) *http2.Framer {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := range times {
		block.Reset()
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "localhost"}, {":path", path}} {
			if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// nextFrame returns the next frame. It acknowledges settings and pings.
func nextFrame(t *testing.T, f *http2.Framer) http2.Frame {
	t.Helper()
	frame, err := f.ReadFrame()
	if err == nil {
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			err = f.WritePing(true, frame.Data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

var listsHeld = regexp.MustCompile(`(?m)^tidings_memory_bytes\{use="lists"\} (\S+)$`)

// listBytes returns how many bytes the hub's metrics report for lists.
func listBytes(t *testing.T, c *http.Client) int64 {
	t.Helper()
	resp, err := c.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := listsHeld.FindSubmatch(text)
	if found == nil {
		t.Fatalf("no figure of lists in %s", text)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}
