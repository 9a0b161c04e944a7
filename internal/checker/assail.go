//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/internal/checker/attack"
)

// assailCmd is the process that runs an attack, with its own descriptors. It reads its
// target from standard input, attacks until that is closed, and prints the counts of
// answers.
type assailCmd struct {
	Name string `arg:""`
}

func (c assailCmd) Run(ctx context.Context) error {
	a, err := attack.Find(c.Name)
	if err != nil {
		return err
	}
	var t attack.Target
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return json.NewEncoder(os.Stdout).Encode(a.Run(ctx, t))
}

// An assailant is the running process of an attack.
type assailant struct {
	name   string
	cmd    *exec.Cmd
	input  io.Closer
	output *json.Decoder
	ended  *time.Timer

	answers string // the hub's answers, and how often each came
}

func assail(ctx context.Context, a attack.Attack, t attack.Target) (*assailant, error) {
	cmd, err := background(ctx, "assail", a.Name)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &assailant{name: a.Name, cmd: cmd, input: in, output: json.NewDecoder(out)}, json.NewEncoder(in).Encode(t)
}

// callOff asks the attack to end and does not wait.
func (a *assailant) callOff() {
	_ = a.input.Close()                                                        // the attack may have ended
	a.ended = time.AfterFunc(time.Minute, func() { _ = a.cmd.Process.Kill() }) // it still hangs
}

// wait waits for the attack's process to end.
func (a *assailant) wait() error {
	defer a.ended.Stop()
	var counts map[string]int
	if err := a.output.Decode(&counts); err != nil {
		return fmt.Errorf("the attack %s has failed: %w, %w", a.name, err, a.cmd.Wait())
	}
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("the attack %s has failed: %w", a.name, err)
	}
	var list []string
	for _, answer := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s: %d", answer, counts[answer]))
	}
	a.answers = strings.Join(list, ", ")
	return nil
}
