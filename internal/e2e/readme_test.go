package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestReadme runs the commands of the READMEs' terminal sessions and compares their
// output. It checks that each flag and each linked file exists.
func TestReadme(t *testing.T) {
	require(t, "curl", "curl")
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			runSessions(t, string(text))
			checkFlags(t, string(text))
			checkLinks(t, string(text))
		})
	}
}

// A session is a command in a console block, with the output that the block shows.
type session struct {
	command string
	prints  []string
}

// sessions returns the sessions of a text, in order.
func sessions(text string) (found []session) {
	for _, m := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			line = strings.TrimSpace(line)
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				found = append(found, session{command: command})
			} else if line != "" && len(found) > 0 {
				last := &found[len(found)-1]
				last.prints = append(last.prints, line)
			}
		}
	}
	return found
}

// runSessions runs the commands in the order of the text: a hub, a subscriber, and a
// publisher, whose event the subscriber must print.
func runSessions(t *testing.T, text string) {
	addr := address(freePort(t))
	var subscriber *process
	var subscribed session
	hubs, published := 0, 0
	for _, s := range sessions(text) {
		args := strings.Fields(strings.ReplaceAll(s.command, "localhost:3000", addr))
		switch {
		case strings.HasPrefix(s.command, "go run ./cmd/tidings "):
			cmd := exec.Command(binary, args[3:]...) // built from ./cmd/tidings
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "TIDINGS_LISTEN="+addr)
			h := &hub{t: t, addr: addr, process: start(t, cmd)}
			h.isReady()
			hubs++
		case strings.HasPrefix(s.command, "curl -N "):
			subscribed = s
			subscriber = start(t, exec.Command(args[0], append([]string{"-sS"}, args[1:]...)...))
			eventually(t, "the subscriber's first block", func() (bool, string) {
				got := subscriber.output.String()
				return strings.Contains(got, "data: {}\n\n"), got
			})
		case strings.HasPrefix(s.command, "curl -d "):
			out, err := exec.Command(args[0], append([]string{"-sS"}, args[1:]...)...).CombinedOutput()
			if want := shape(s.prints); err != nil || !want.Match(out) {
				t.Errorf("%s: %q, %v; want %s", s.command, out, err, want)
			}
			published++
		case strings.HasPrefix(s.command, "bash "):
			if _, err := os.Stat(filepath.Join(root, args[1])); err != nil { // the script runs this test, so it is only looked for
				t.Error(err)
			}
		default:
			t.Errorf("this test cannot run %q: teach it to, or leave the command out", s.command)
		}
	}
	if hubs != 1 || published != 1 || subscriber == nil {
		t.Fatalf("the text has %d hubs, %d publishers, a subscriber: %v; want one of each", hubs, published, subscriber != nil)
	}
	want := shape(subscribed.prints)
	eventually(t, subscribed.command, func() (bool, string) {
		got := subscriber.output.String()
		return want.MatchString(got), fmt.Sprintf("%q; want %s", got, want)
	})
}

// shape returns a pattern that matches lines with any ids. Other events may come between
// the blocks.
func shape(lines []string) *regexp.Regexp {
	id := regexp.MustCompile(`_[0-9A-Za-z-]+`)
	var b strings.Builder
	for i, line := range lines {
		switch {
		case i > 0 && strings.HasPrefix(line, "id:") && strings.HasPrefix(lines[i-1], "data:"):
			b.WriteString(`(?s:.*)`) // a new block
		case i > 0:
			b.WriteString(`\n`)
		}
		b.WriteString(id.ReplaceAllString(regexp.QuoteMeta(line), `_[0-9A-Za-z-]+`))
	}
	return regexp.MustCompile(b.String())
}

// checkFlags checks that each flag in the text is a flag of one of tidings' commands.
func checkFlags(t *testing.T, text string) {
	var help strings.Builder
	for _, command := range []string{"serve", "pub", "sub", "token", "bench fanout"} {
		out, err := exec.Command(binary, append(strings.Fields(command), "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v\n%s", command, err, out)
		}
		help.Write(out)
	}
	flags := slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(text, -1))))
	if len(flags) < 10 {
		t.Errorf("found only the flags %q in the text", flags)
	}
	for _, flag := range flags {
		if flag != "--help" && !regexp.MustCompile(regexp.QuoteMeta(flag)+`\b`).MatchString(help.String()) {
			t.Errorf("tidings has no flag %s", flag)
		}
	}
}

// checkLinks checks that the files to which the text links exist.
func checkLinks(t *testing.T, text string) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 10 {
		t.Errorf("found only %d links in the text", len(links))
	}
	for _, m := range links {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Error(err)
		}
	}
}
