package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs that the console offers for copying publish to the hub, with and
// without keys.
func TestConsoleSnippetsWork(t *testing.T) {
	t.Parallel()
	const key = "a secret of thirty-two bytes or more"
	const topic = `it's "7" & more/{id}`
	token := mintToken(t, key, "--admin", "--publish", "*", "--subscribe", "*")
	open := startHub(t)
	page := openConsole(t, desktop, open, "#connect")
	for name, h := range map[string]*hub{"without keys": open, "with keys": startHub(t, "--jwt-key", key)} {
		if h != open {
			page = openTab(t, h.url("/console/?lang=en#connect"))
			page.until(`!document.querySelector("#view-sign-in").hidden`)
			page.signIn(token)
			page.until(stateIs, "open")
		}
		page.typeIn("#connect-snippets header input", topic)
		for id, run := range map[string]struct {
			programs []string
			args     []string // before the file's name
			file     string
		}{
			"curl":   {[]string{"sh"}, nil, "publish.sh"},
			"node":   {[]string{"node"}, nil, "publish.mjs"},
			"python": {[]string{"python3"}, nil, "publish.py"},
			"php":    {[]string{"php"}, nil, "publish.php"},
			"go":     {[]string{"go"}, []string{"run"}, "publish.go"},
		} {
			page.click("#connect-snippets-" + id)
			code := page.text("#connect-snippets-panel code")
			t.Run(name+"/"+id, func(t *testing.T) {
				program := require(t, id, run.programs...)
				file := filepath.Join(t.TempDir(), run.file)
				if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(program, append(run.args, file)...)
				cmd.Env = append(os.Environ(), "TOKEN="+token)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s\n%s", err, out, code)
				}
				page.until(`document.querySelector("#list").textContent.toLowerCase().includes("hello from "+$1)`, id)
			})
		}
	}
}

// followsSnippet replaces an example's own program by the code that the console
// shows for browsers, and checks that the page shows the events of its topic.
func followsSnippet(t *testing.T, name, dir string) {
	h := startHub(t)
	console := openConsole(t, desktop, h, "#connect")
	console.typeIn("#connect-snippets header input", "orders/7")
	console.click("#connect-snippets-" + snippetOf[name].id)
	code := console.text("#connect-snippets-panel code")
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(snippetOf[name].file, snippetOf[name].before+code+snippetOf[name].after)
	for file, text := range snippetOf[name].beside {
		write(file, text)
	}
	for _, args := range snippetOf[name].steps {
		cmd := exec.CommandContext(t.Context(), require(t, args[0], args[0]), args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s\n%s", args, err, out, code)
		}
	}
	site := startSite(t)
	site.handleDir("/example/", dir)
	page := openTab(t, site.origin("localhost")+"/example/")
	h.hasStreams(2) // the console's and this page's
	id := h.publish("orders/7", "paid")
	page.until(`document.querySelector("#app").textContent.includes("paid")`)
	if name == "vanilla" {
		h.publish("orders/7", `{"eur":42}`, "type", "price")
		page.until(`document.querySelector("#app").textContent === $1`, "paid "+id+`,{"eur":42}`)
	}
	page.noProblems(false)
}

// snippetOf says, for each example of examples/web, which of the console's
// snippets replaces its program (id, file), what to add before, after and beside
// the snippet, and which commands build it.
var snippetOf = map[string]struct {
	id, file      string
	before, after string
	beside        map[string]string
	steps         [][]string
}{
	"vanilla": {
		id: "js", file: "app.js",
		before: `const said = [];
			console.log = (...what) => {
				said.push(what.map((x) => (typeof x === "string" ? x : JSON.stringify(x))).join(" "));
				document.querySelector("#app").textContent = said.join();
			};
		`,
		beside: map[string]string{"index.html": `<!doctype html><link rel="icon" href="data:,"><script type="module" src="app.js"></script><p id="app"></p>`},
	},
	"react": {
		id: "react", file: "app.jsx",
		after: `
			import { createRoot } from "react-dom/client";
			createRoot(document.getElementById("app")).render(<News />);
		`,
		steps: [][]string{{"npm", "run", "build"}},
	},
	"vue": {
		id: "vue", file: "News.vue",
		beside: map[string]string{
			"app.js": `import { createApp } from "vue"; import News from "./News.js"; createApp(News).mount("#app");`,
			"compile.js": `
				import { readFileSync, writeFileSync } from "node:fs";
				import { compileScript, parse } from "vue/compiler-sfc";
				const { descriptor, errors } = parse(readFileSync("News.vue", "utf8"));
				if (errors.length) throw errors[0];
				writeFileSync("News.js", compileScript(descriptor, { id: "news", inlineTemplate: true }).content);
			`,
		},
		steps: [][]string{{"node", "compile.js"}},
	},
}
