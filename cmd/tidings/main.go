// Tidings pushes events from servers to browsers over Server-Sent Events.
// `tidings serve` runs the hub; `tidings pub` and `tidings sub` publish and
// subscribe from a shell.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tidings-sse/tidings/internal/daemon"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 3 // sub: --timeout has passed
)

func main() {
	// A heap profile is never read, and its samples are never freed.
	runtime.MemProfileRate = 0
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

type cli struct {
	Serve serveCmd `cmd:"" help:"Run the hub."`
	Pub   pubCmd   `cmd:"" help:"Publish an event, or each line of standard input."`
	Sub   subCmd   `cmd:"" help:"Subscribe, and print what arrives."`
	Bench benchCmd `cmd:"" help:"Put load on a server of event streams, and measure it."`
	Token tokenCmd `cmd:"" help:"Make a token for a hub with keys, or explain one."`

	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

// streams are a command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError reports that the command was called incorrectly.
type usageError struct{ error }

// errTimeout ends sub when --timeout has passed.
var errTimeout = errors.New("timeout")

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("tidings"),
		kong.Description("Server-Sent Events for production."),
		kong.Vars{"version": "tidings " + daemon.Version()},
		kong.DefaultEnvars("TIDINGS"),
		kong.Configuration(loadConfig),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // the struct tags are wrong
	}
	unsetEmpty()
	cmd, err := parser.Parse(args)
	if exit >= 0 { // --help and --version
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "tidings: %v; see tidings --help\n", err)
		return exitUsage
	}
	// The first signal ends the command in an orderly way, the second at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	cmd.BindTo(ctx, (*context.Context)(nil))
	err = cmd.Run(streams{stdin, stdout, stderr})
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errTimeout):
		return exitTimeout
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "tidings: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "tidings: %v\n", err)
	return exitFailure
}

// unsetEmpty unsets empty TIDINGS_ variables, such as those in a compose file whose value
// was left out.
func unsetEmpty() {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, "TIDINGS_") {
			_ = os.Unsetenv(name)
		}
	}
}
