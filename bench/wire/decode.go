package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	anthropic "github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	donovanhide "github.com/donovanhide/eventsource"
	gin "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	openai "github.com/openai/openai-go/v3/packages/ssestream"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/tidings-sse/tidings/sse"
	tmaxmax "github.com/tmaxmax/go-sse"
	jetify "go.jetify.com/sse"
)

// A sink counts events, and takes their data in the form in which a library returns
// it. With keep, it keeps the data for a check.
type sink struct {
	keep   bool
	texts  []string
	events int
}

func (s *sink) str(data string) {
	s.events++
	if s.keep {
		s.texts = append(s.texts, data)
	}
}

func (s *sink) raw(data []byte) {
	s.events++
	if s.keep {
		s.texts = append(s.texts, string(data))
	}
}

// decoders read a whole stream. What else a library does, such as starting a
// goroutine or reading the whole stream first, is part of its cost.
var decoders = []struct {
	name   string
	decode func(io.Reader, *sink) error
}{
	{"tidings/sse", decodeTidings},
	{"tmaxmax/go-sse", decodeTmaxmax},
	{"r3labs/sse", decodeR3labs},
	{"launchdarkly/eventsource", decodeLaunchdarkly},
	{"donovanhide/eventsource", decodeDonovanhide},
	{"jetify-com/sse", decodeJetify},
	{"gin-contrib/sse", decodeGin},
	{"openai-go", decodeOpenAI},
	{"anthropic-sdk-go", decodeAnthropic},
}

func decodeTidings(r io.Reader, s *sink) error {
	for e, err := range sse.Read(r) {
		if err != nil {
			return err
		}
		s.str(e.Data)
	}
	return nil
}

func decodeTmaxmax(r io.Reader, s *sink) error {
	for e, err := range tmaxmax.Read(r, nil) {
		if err != nil {
			return err
		}
		s.str(e.Data)
	}
	return nil
}

// decodeR3labs uses the library's client, because its parser is not public.
func decodeR3labs(r io.Reader, s *sink) error {
	client := r3labs.NewClient("http://example.com/")
	client.Connection = &http.Client{Transport: answer{r}}
	return client.SubscribeRaw(func(e *r3labs.Event) { s.raw(e.Data) })
}

type answer struct{ io.Reader }

func (a answer) RoundTrip(*http.Request) (*http.Response, error) { return response(a.Reader), nil }

func response(r io.Reader) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {sse.MediaType}},
		Body:       io.NopCloser(r),
	}
}

func decodeLaunchdarkly(r io.Reader, s *sink) error {
	d := launchdarkly.NewDecoder(r)
	for {
		e, err := d.Decode()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		s.str(e.Data())
	}
}

func decodeDonovanhide(r io.Reader, s *sink) error {
	d := donovanhide.NewDecoder(r)
	for {
		e, err := d.Decode()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		s.str(e.Data())
	}
}

func decodeJetify(r io.Reader, s *sink) error {
	d := jetify.NewDecoder(r)
	for {
		var e jetify.Event
		err := d.Decode(&e)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch data := e.Data.(type) {
		case string:
			s.str(data)
		default:
			s.str(fmt.Sprintf("%s", data))
		}
	}
}

func decodeGin(r io.Reader, s *sink) error {
	events, err := gin.Decode(r)
	for _, e := range events {
		s.str(e.Data.(string))
	}
	return err
}

func decodeOpenAI(r io.Reader, s *sink) error {
	d := openai.NewDecoder(response(r))
	for d.Next() {
		s.raw(bytes.TrimSuffix(d.Event().Data, []byte("\n")))
	}
	return d.Err()
}

func decodeAnthropic(r io.Reader, s *sink) error {
	d := anthropic.NewDecoder(response(r))
	for d.Next() {
		s.raw(bytes.TrimSuffix(d.Event().Data, []byte("\n")))
	}
	return d.Err()
}

// decodeFloor finds the line ends and copies the lines: the least that a decoder
// must do.
func decodeFloor(in, buf []byte) (lines int) {
	for len(in) > 0 {
		i := bytes.IndexByte(in, '\n')
		copy(buf, in[:i])
		in = in[i+1:]
		lines++
	}
	return lines
}

func decodeTask(size int) task {
	const events = 256
	data := strings.Repeat("lorem ipsum ", size/12+1)[:size]
	var in []byte
	for range events {
		in, _ = sse.AppendEvent(in, sse.Event{Data: data})
	}
	t := task{name: "decode", size: size, events: events, bytes: len(in)}
	buf := make([]byte, len(in))
	t.contenders = append(t.contenders, contender{"floor: IndexByte + copy",
		func() error { return expect(2*events, decodeFloor(in, buf)) },
		func() { decodeFloor(in, buf) }})
	r := bytes.NewReader(nil)
	for _, d := range decoders {
		t.contenders = append(t.contenders, contender{d.name,
			func() error {
				s := sink{keep: true}
				if err := d.decode(bytes.NewReader(in), &s); err != nil {
					return err
				}
				for _, text := range s.texts {
					if text != data {
						return fmt.Errorf("an event reads %.40q", text)
					}
				}
				return expect(events, s.events)
			},
			func() {
				r.Reset(in)
				d.decode(r, &sink{})
			}})
	}
	return t
}

func expect(want, got int) error {
	if got != want {
		return fmt.Errorf("%d, want %d", got, want)
	}
	return nil
}
