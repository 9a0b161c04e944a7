package tidings_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tidings-sse/tidings/"

// layers says which of our packages each package may import; see
// docs/architecture.md. A package that is not named here may import none, and
// fails the test: whoever adds one decides where it belongs.
var layers = map[string][]string{
	"sse":                  {},
	"budget":               {},
	"eventlog":             {},
	"eventlog/disklog":     {"eventlog"},
	"eventlog/logtest":     {"eventlog"},
	"hub":                  {"sse", "eventlog", "budget"},
	"auth":                 {"hub", "budget", "internal/form"},
	"internal/park":        {"hub"},
	"internal/form":        {},
	"internal/descriptors": {},
	"mercure":              {"eventlog", "budget", "hub", "auth", "httpapi", "internal/form"},
	"httpapi":              {"sse", "eventlog", "budget", "hub", "auth", "internal/park", "internal/descriptors", "internal/form"},
	"examples/llm":         {"sse"},
	"console/site":         {},
	"console":              {"console/site"},
	"console/demo":         {"sse", "console/site", "examples/llm"},
	"internal/daemon":      {"sse", "budget", "internal/descriptors", "auth", "mercure", "eventlog", "eventlog/disklog", "hub", "httpapi", "console", "console/demo", "examples/llm"},
	"internal/load":        {},
	"cmd/tidings":          {"auth", "sse", "hub", "httpapi", "internal/daemon", "internal/load"},

	"examples/llm/answerer": {"examples/llm"},
	"examples/publish/go":   {},

	"console/site/sitetest":   {"console/site"},
	"internal/checker":        {"sse", "internal/checker/attack"},
	"internal/checker/attack": {},
	"internal/contracttest":   {"sse"},
}

// standardOnly are the packages that import the standard library alone.
var standardOnly = []string{"sse", "eventlog", "budget"}

func TestImportsPointDownward(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(pkg.ImportPath, module)
		if !ours || len(pkg.Imports) == 0 { // the root and packages of tests alone
			continue
		}
		seen++
		allowed, known := layers[name]
		if !known {
			t.Errorf("%s has no place in the architecture: add it to layers", name)
		}
		for _, path := range pkg.Imports {
			if dep, ours := strings.CutPrefix(path, module); ours && !slices.Contains(allowed, dep) {
				t.Errorf("%s imports %s, which is not below it", name, dep)
			}
			if strings.Contains(strings.Split(path, "/")[0], ".") && slices.Contains(standardOnly, name) {
				t.Errorf("%s imports %s: it does with the standard library", name, path)
			}
		}
	}
	if seen < len(layers) {
		t.Errorf("saw %d packages, but layers has %d: remove those that are gone", seen, len(layers))
	}
}
