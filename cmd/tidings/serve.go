package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"

	"github.com/tidings-sse/tidings/internal/daemon"
)

type serveCmd struct {
	daemon.Config
	ConfigFile kong.ConfigFlag `name:"config" placeholder:"FILE" help:"Read settings from a YAML file: the flags' names without their dashes, as in listen: localhost:3000."`
}

func (c *serveCmd) Run(ctx context.Context, s streams) error {
	logger := slog.New(slog.NewTextHandler(s.err, nil))
	return daemon.Run(ctx, &c.Config, s.err, logger)
}

// configFile resolves flags from a file. Flags and environment take precedence.
type configFile map[string]any

func loadConfig(r io.Reader) (kong.Resolver, error) {
	var f configFile
	dec := yaml.NewDecoder(r) // it refuses repeated names
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the config file is not YAML: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the config file has more than one document: put all settings in one, without a line --- between them")
	}
	return f, nil
}

// Validate returns an error for a key that is not a flag, so that typos are noticed.
func (f configFile) Validate(app *kong.Application) error {
	var names []string
	for _, cmd := range app.Children {
		if cmd.Name == "serve" {
			for _, flag := range cmd.Flags {
				names = append(names, flag.Name)
			}
		}
	}
	for key := range f {
		if !slices.Contains(names, key) {
			return fmt.Errorf("the config file sets %q, which is not a flag of tidings serve", key)
		}
	}
	return nil
}

// Resolve returns a flag's value in the file, or nil.
func (f configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	switch v := f[flag.Name].(type) {
	case nil, []any:
		return v, nil
	default: // parse it as the flag's text, so that 5 is not a duration here either
		return fmt.Sprint(v), nil
	}
}
