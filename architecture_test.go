package tidings_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tidings-sse/tidings/"

// modules are the directories of the Go modules whose packages the table lists.
var modules = []string{".", "bench", "examples/frameworks", "internal/e2e/clients"}

// standardOnly lists the packages that may import only the standard library.
var standardOnly = []string{"sse", "eventlog", "budget"}

// A row is a row of the table in docs/architecture.md: the packages of ours that a
// package imports, and those that its tests import in addition.
type row struct{ imports, tests []string }

// TestArchitecture checks that the imports of each package, and of its tests, are those
// that the table in docs/architecture.md lists, and that the table lists no other package.
func TestArchitecture(t *testing.T) {
	table := readTable(t)
	for _, dir := range modules {
		for _, pkg := range listPackages(t, dir) {
			name, ours := strings.CutPrefix(pkg.ImportPath, module)
			if !ours || len(pkg.Imports)+len(pkg.TestImports)+len(pkg.XTestImports) == 0 { // the root has only tests
				continue
			}
			want, known := table[name]
			if !known {
				t.Errorf("%s has no row in docs/architecture.md: add one, and decide where the package belongs", name)
				continue
			}
			delete(table, name)
			imports := onlyOurs(pkg.Imports)
			if !slices.Equal(imports, want.imports) {
				t.Errorf("%s imports %q; docs/architecture.md says %q", name, imports, want.imports)
			}
			tests := slices.DeleteFunc(onlyOurs(slices.Concat(pkg.TestImports, pkg.XTestImports)), func(dep string) bool {
				return dep == name || slices.Contains(imports, dep)
			})
			if !slices.Equal(tests, want.tests) {
				t.Errorf("the tests of %s import %q in addition; docs/architecture.md says %q", name, tests, want.tests)
			}
			for _, path := range pkg.Imports {
				if strings.Contains(strings.Split(path, "/")[0], ".") && slices.Contains(standardOnly, name) {
					t.Errorf("%s imports %s, but may import only the standard library", name, path)
				}
			}
		}
	}
	for name := range table {
		t.Errorf("docs/architecture.md has a row for %s, which does not exist", name)
	}
}

// readTable returns the rows of the table of packages, by package.
func readTable(t *testing.T) map[string]row {
	t.Helper()
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	names := func(cell string) (found []string) {
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			found = append(found, m[1])
		}
		slices.Sort(found)
		return found
	}
	table := map[string]row{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		table[names(cells[1])[0]] = row{names(cells[3]), names(cells[4])}
	}
	if len(table) < 20 {
		t.Fatalf("docs/architecture.md has %d rows of packages", len(table))
	}
	return table
}

type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages returns the packages of the module in dir.
func listPackages(t *testing.T, dir string) (pkgs []listedPackage) {
	t.Helper()
	out, err := exec.Command("go", "list", "-C", dir, "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listedPackage
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg)
	}
}

// onlyOurs returns the packages of this repository among paths, sorted, each once.
func onlyOurs(paths []string) (found []string) {
	for _, path := range paths {
		if dep, ours := strings.CutPrefix(path, module); ours {
			found = append(found, dep)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
