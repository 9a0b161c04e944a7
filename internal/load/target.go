package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A Target is the server to measure, and how to talk to it.
type Target struct {
	Server       string   `default:"http://localhost:3000" placeholder:"URL" help:"The hub's address."`
	Protocol     string   `default:"tidings" enum:"tidings,mercure" help:"The hub's protocol: tidings, or Mercure at /.well-known/mercure."`
	SubscribeURL string   `placeholder:"URL" help:"Subscribe at this address instead; {topic} stands for the topic's name."`
	PublishURL   string   `placeholder:"URL" help:"Publish with a POST of the data to this address instead; {topic} stands for the topic's name."`
	Token        string   `placeholder:"TOKEN" help:"Bearer token to send."`
	Insecure     bool     `help:"Accept any certificate."`
	HTTP2        int      `name:"http2" placeholder:"N" help:"Open the streams over this many HTTP/2 connections."`
	Header       []string `short:"H" sep:"none" placeholder:"'KEY: VALUE'" help:"Send a header. May be repeated."`
}

// An endpoint is a parsed target: the addresses and the headers of requests.
type endpoint struct {
	*Target
	subscribe, publish *url.URL
	headers            string // additional lines of each request
}

func (t *Target) endpoint() (*endpoint, error) {
	if t.HTTP2 < 0 {
		return nil, errors.New("--http2 must not be negative")
	}
	e := &endpoint{Target: t}
	base, err := parseURL("--server", t.Server)
	if err != nil {
		return nil, err
	}
	e.subscribe, e.publish = base, base
	if t.SubscribeURL != "" {
		if e.subscribe, err = parseURL("--subscribe-url", t.SubscribeURL); err != nil {
			return nil, err
		}
	}
	if t.PublishURL != "" {
		if e.publish, err = parseURL("--publish-url", t.PublishURL); err != nil {
			return nil, err
		}
	}
	var lines strings.Builder
	if t.Token != "" {
		lines.WriteString("Authorization: Bearer " + t.Token + "\r\n")
	}
	for _, h := range t.Header {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return nil, fmt.Errorf("-H %q: write a header as 'Key: value'", h)
		}
		lines.WriteString(h + "\r\n")
	}
	e.headers = lines.String()
	return e, nil
}

func parseURL(flag, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s %q is not an address: write it as http://localhost:3000", flag, s)
	}
	return u, nil
}

// fill returns u's path and query, with {topic} replaced.
func fill(u *url.URL, topic string) string {
	return strings.NewReplacer("{topic}", topic, "%7Btopic%7D", topic).Replace(u.RequestURI())
}

// subscribeRequest returns a subscriber's request.
func (e *endpoint) subscribeRequest(topic, lastEventID string) []byte {
	path := fill(e.subscribe, topic)
	switch base := strings.TrimSuffix(e.subscribe.EscapedPath(), "/"); {
	case e.SubscribeURL != "":
	case e.Protocol == "mercure":
		path = base + "/.well-known/mercure?topic=" + topic
	default:
		path = base + "/events/" + topic
	}
	req := "GET " + path + " HTTP/1.1\r\nHost: " + e.subscribe.Host + "\r\nAccept: text/event-stream\r\n" + e.headers
	if lastEventID != "" {
		req += "Last-Event-ID: " + lastEventID + "\r\n"
	}
	return []byte(req + "\r\n")
}

// A message is one event to publish.
type message struct {
	topic string
	event rig.Event
}

// appendPublish appends a request that publishes messages. Several messages form a batch,
// which only the protocol tidings supports.
func (e *endpoint) appendPublish(dst []byte, body []byte, ms []message, size int) (request, scratch []byte) {
	var path, contentType string
	base := strings.TrimSuffix(e.publish.EscapedPath(), "/")
	switch body = body[:0]; {
	case e.PublishURL != "":
		path, contentType = fill(e.publish, ms[0].topic), "text/plain"
		body = appendData(body, ms[0].event, size)
	case e.Protocol == "mercure":
		path, contentType = base+"/.well-known/mercure", "application/x-www-form-urlencoded"
		body = append(body, "topic="+ms[0].topic+"&data="...)
		at := len(body)
		body = appendData(body, ms[0].event, size)
		body = append(body[:at], url.QueryEscape(string(body[at:]))...)
	case len(ms) == 1:
		path, contentType = base+"/events/"+ms[0].topic, "text/plain"
		body = appendData(body, ms[0].event, size)
	default:
		path, contentType = base+"/events", "application/x-ndjson"
		for _, m := range ms {
			body = append(body, `{"topic":"`...)
			body = append(body, m.topic...)
			body = append(body, `","data":"`...)
			body = appendData(body, m.event, size)
			body = append(body, "\"}\n"...)
		}
	}
	dst = append(dst, "POST "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, e.publish.Host...)
	dst = append(dst, "\r\nContent-Type: "...)
	dst = append(dst, contentType...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, e.headers...)
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...), body
}

// hostPort returns the host and port to dial for u.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// resolve returns one address for u, so that all connections use the same.
func resolve(u *url.URL) (*net.TCPAddr, error) {
	return net.ResolveTCPAddr("tcp", hostPort(u))
}

func (e *endpoint) dial(u *url.URL, addr *net.TCPAddr) (net.Conn, error) {
	conn, err := net.DialTCP("tcp", nil, addr)
	if err != nil {
		return nil, explain(err)
	}
	if u.Scheme == "http" {
		return conn, nil
	}
	c := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: e.Insecure})
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}
