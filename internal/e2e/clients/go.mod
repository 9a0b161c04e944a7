module github.com/tidings-sse/tidings/internal/e2e/clients

go 1.26.0

replace github.com/tidings-sse/tidings => ../../..

require (
	github.com/donovanhide/eventsource v0.0.0-20210830082556-c59027999da0
	github.com/launchdarkly/eventsource v1.11.0
	github.com/r3labs/sse/v2 v2.10.0
	github.com/tidings-sse/tidings v0.0.0
	github.com/tmaxmax/go-sse v0.12.0
)

require (
	golang.org/x/net v0.59.0 // indirect
	gopkg.in/cenkalti/backoff.v1 v1.1.0 // indirect
)
