// Command contracttest lets LaunchDarkly's public harness, sse-contract-tests, test this
// module's SSE client. The harness calls it to create, command and close streams, and it
// calls the harness back with what they receive.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:18001", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	service := newService(ctx, stop)
	server := &http.Server{Addr: *addr, Handler: service}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	service.wait()
}
