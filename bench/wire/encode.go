package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	donovanhide "github.com/donovanhide/eventsource"
	gin "github.com/gin-contrib/sse"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/tidings-sse/tidings/sse"
	tmaxmax "github.com/tmaxmax/go-sse"
	jetify "go.jetify.com/sse"
)

// event implements the interface of the two eventsource libraries.
type event struct{ id, name, data string }

func (e event) Id() string    { return e.id }
func (e event) Event() string { return e.name }
func (e event) Data() string  { return e.data }

// encoders write one event, as a server would that has just received it.
var encoders = []struct {
	name   string
	encode func(w *bytes.Buffer, e event) error
}{
	{"tidings/sse", func(w *bytes.Buffer, e event) error {
		b, err := sse.AppendEvent(w.AvailableBuffer(), sse.Event{Type: e.name, Data: e.data, ID: e.id})
		w.Write(b)
		return err
	}},
	{"tmaxmax/go-sse", func(w *bytes.Buffer, e event) error {
		m := &tmaxmax.Message{ID: tmaxmax.ID(e.id), Type: tmaxmax.Type(e.name)}
		m.AppendData(e.data)
		_, err := m.WriteTo(w)
		return err
	}},
	{"launchdarkly/eventsource", func(w *bytes.Buffer, e event) error {
		return launchdarkly.NewEncoder(w, false).Encode(e)
	}},
	{"donovanhide/eventsource", func(w *bytes.Buffer, e event) error {
		return donovanhide.NewEncoder(w, false).Encode(e)
	}},
	{"jetify-com/sse", func(w *bytes.Buffer, e event) error {
		return jetify.NewEncoder(w).EncodeEvent(&jetify.Event{ID: e.id, Event: e.name, Data: jetify.Raw(e.data)})
	}},
	{"gin-contrib/sse", func(w *bytes.Buffer, e event) error {
		return gin.Encode(w, gin.Event{Id: e.id, Event: e.name, Data: e.data})
	}},
}

func encodeTask(size int) task {
	e := event{"42", "price", strings.Repeat("lorem ipsum ", size/12+1)[:size]}
	block, _ := sse.AppendEvent(nil, sse.Event{Type: e.name, Data: e.data, ID: e.id})
	t := task{name: "encode", size: size, events: 1, bytes: len(block)}
	buf := make([]byte, len(block))
	t.contenders = append(t.contenders, contender{"floor: copy",
		func() error { return nil },
		func() { copy(buf, block) }})
	w := bytes.NewBuffer(make([]byte, 0, 2*len(block)+1024))
	for _, enc := range encoders {
		t.contenders = append(t.contenders, contender{enc.name,
			func() error {
				w.Reset()
				if err := enc.encode(w, e); err != nil {
					return err
				}
				return readsBack(w, e)
			},
			func() {
				w.Reset()
				enc.encode(w, e)
			}})
	}
	return t
}

func readsBack(r io.Reader, want event) error {
	n := 0
	for e, err := range sse.Read(r) {
		if err != nil {
			return err
		}
		if e != (sse.Event{Type: want.name, Data: want.data, ID: want.id}) {
			return fmt.Errorf("reads back as %.60q", e)
		}
		n++
	}
	return expect(1, n)
}

func tasks() []task {
	return []task{decodeTask(1024), decodeTask(100), encodeTask(1024), encodeTask(100)}
}
