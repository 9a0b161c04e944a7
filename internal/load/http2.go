package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A multiplex opens streams over a few HTTP/2 connections, over TLS or in the clear,
// depending on the address.
type multiplex struct {
	*audience
	connections []*http.Transport // each uses one connection
}

func newMultiplex(a *audience) *multiplex {
	m := &multiplex{audience: a}
	for range a.endpoint.HTTP2 {
		t := &http.Transport{
			Protocols:       new(http.Protocols),
			MaxConnsPerHost: 1,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: a.endpoint.Insecure},
		}
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
		m.connections = append(m.connections, t)
	}
	return m
}

// open sends stream i's request, and returns the response's body.
func (m *multiplex) open(ctx context.Context, i int) (io.ReadCloser, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(m.request(i))))
	if err != nil {
		return nil, err
	}
	req.RequestURI = ""
	req.URL.Scheme, req.URL.Host = m.endpoint.subscribe.Scheme, m.endpoint.subscribe.Host
	resp, err := m.connections[i%len(m.connections)].RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("the server answered a subscriber with %s", resp.Status)
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		err = errors.New("the server's answer to a subscriber is not an event stream")
	}
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	m.streams[i].state = open
	return resp.Body, nil
}
