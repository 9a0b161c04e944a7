package clients

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"github.com/tidings-sse/tidings/sse"
)

// goClients read a stream until their context ends or they give up.
var goClients = map[string]func(ctx context.Context, url string, saw func(typ, data string)) error{
	"r3labs/sse": func(ctx context.Context, url string, saw func(typ, data string)) error {
		return r3labs.NewClient(url).SubscribeRawWithContext(ctx, func(e *r3labs.Event) { saw(string(e.Event), string(e.Data)) })
	},
	"donovanhide/eventsource": func(ctx context.Context, url string, saw func(typ, data string)) error {
		stream, err := donovanhide.Subscribe(url, "")
		if err != nil {
			return err
		}
		defer stream.Close()
		for {
			select {
			case e := <-stream.Events:
				saw(e.Event(), e.Data())
			case <-stream.Errors: // the stream reconnects
			case <-ctx.Done():
				return nil
			}
		}
	},
	"launchdarkly/eventsource": func(ctx context.Context, url string, saw func(typ, data string)) error {
		stream, err := launchdarkly.SubscribeWithURL(url)
		if err != nil {
			return err
		}
		defer stream.Close()
		for {
			select {
			case e := <-stream.Events:
				saw(e.Event(), e.Data())
			case <-stream.Errors: // the stream reconnects
			case <-ctx.Done():
				return nil
			}
		}
	},
	"tmaxmax/go-sse": func(ctx context.Context, url string, saw func(typ, data string)) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		connection := tmaxmax.NewConnection(req)
		connection.SubscribeMessages(func(e tmaxmax.Event) { saw(e.Type, e.Data) })
		return connection.Connect()
	},
	"tidings/sse": func(ctx context.Context, url string, saw func(typ, data string)) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		for e, err := range new(sse.Client).Events(req) {
			if err != nil {
				return err
			}
			saw(e.Type, e.Data)
		}
		return nil
	},
}

func startGo(t *testing.T, listeners []*listener) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for _, l := range listeners {
		go func() {
			err := goClients[l.name](ctx, l.url("localhost"), l.saw)
			if ctx.Err() == nil {
				l.saw("end", fmt.Sprint(err))
			}
		}()
	}
}
