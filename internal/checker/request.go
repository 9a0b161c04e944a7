//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// request sends a request and reads the whole answer.
func request(ctx context.Context, c *http.Client, method, url string, header http.Header, body []byte) (resp *http.Response, answer []byte, err error) {
	resp, err = send(ctx, c, method, url, header, body)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	answer, err = io.ReadAll(resp.Body)
	return resp, answer, err
}

func send(ctx context.Context, c *http.Client, method, url string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	return c.Do(req)
}
