package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A model is an OpenAI-compatible API that answers with the words that the test
// passes to say.
type model struct {
	url     string
	words   chan string
	stopped chan struct{} // receives a value when a client cancels its request
}

func startModel(t *testing.T) *model {
	t.Helper()
	m := &model{words: make(chan string), stopped: make(chan struct{}, 10)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"choices":[{"delta":{"role":"assistant","content":""}}]}`+"\n\n")
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case word := <-m.words:
				if word == "" {
					fmt.Fprint(w, `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
					return
				}
				text, _ := json.Marshal(word)
				fmt.Fprintf(w, `data: {"choices":[{"delta":{"content":%s}}]}`+"\n\n", text)
			case <-r.Context().Done():
				m.stopped <- struct{}{}
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	m.url = server.URL + "/v1"
	return m
}

// say answers with the next words; an empty one ends the answer.
func (m *model) say(words ...string) {
	for _, word := range words {
		m.words <- word
	}
}

const answerIs = `document.querySelector("#answer").textContent === $1`

func TestDemoLLM(t *testing.T) { onScreens(t, driveDemoLLM) }

func driveDemoLLM(t *testing.T, on screen) {
	m := startModel(t)
	h := startHub(t, "--demo", "--demo-llm-url", m.url, "--demo-llm-model", "parrot")
	p := startProxy(t, h.addr)
	page := openDemo(t, on, h, "/demo/llm/")
	run(page, chromedp.SendKeys("#prompt", "why?\r"))
	m.say("Because ", "each ", "word")
	page.until(answerIs, "Because each word")
	page.until(`document.querySelector("#model").textContent.includes("parrot")`)

	// A second device, whose network breaks, shows the same answer.
	second := openOn(t, on.other(), p.url("/demo/llm/"))
	second.until(answerIs, "Because each word")
	second.until(`document.querySelector("#question").textContent === "why?"`)
	p.refuse()
	p.cut(false)
	second.until(stateIs, "connecting")

	run(page, chromedp.Reload()) // in mid-sentence
	page.until(answerIs, "Because each word")
	m.say(" is ", "an ", "event.")
	page.until(answerIs, "Because each word is an event.")
	p.accept()
	second.until(answerIs, "Because each word is an event.")
	m.say("")
	for _, b := range []*tab{page, second} {
		b.until(`document.querySelector("#stop").disabled`)
		b.until(`/ 0 missing/.test(document.querySelector("#progress").textContent)`)
	}

	// One device asks, both show the answer, the other one stops it.
	run(second, chromedp.SendKeys("#prompt", "and then?\r"))
	m.say("It ", "goes ", "on")
	page.until(answerIs, "It goes on")
	page.until(`!document.querySelector("#stop").disabled`)
	page.click("#stop")
	<-m.stopped
	second.until(`document.querySelector("#outcome").textContent !== ""`)
	second.until(`document.querySelectorAll("#recent li").length === 2`)
	page.driven("llm", false)
	second.driven("llm-second", true)
}

// Without a model, the built-in generator answers, and says that it is no model.
func TestDemoLLMWithoutModel(t *testing.T) { onScreens(t, driveDemoLLMWithoutModel) }

func driveDemoLLMWithoutModel(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	page := openDemo(t, on, h, "/demo/llm/?lang=en")
	page.until(`document.querySelector("#suggestions button")`)
	page.click("#suggestions button")
	page.until(`document.querySelector("#answer").textContent.startsWith("I am no language model.")`)
	page.until(`document.querySelector("#model").textContent.startsWith("Not a language model")`)
	page.click("#stop")
	page.until(`document.querySelector("#outcome").textContent === "Stopped."`)
	page.driven("llm-local", false)
}

// Over plain HTTP, a page from a name that is not a loopback name is no secure
// context, so it has neither crypto.randomUUID nor the clipboard.
func TestDemoWithoutSecureContext(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo", "--no-auth")
	page := openOn(t, phone, strings.Replace(h.url("/demo/llm/?lang=en"), "127.0.0.1", foreignName, 1))
	page.until(stateIs, "open")
	if js[bool](page, `isSecureContext`) {
		t.Fatal("this is a secure context")
	}
	page.until(`document.querySelector("#suggestions button")`)
	page.click("#suggestions button")
	page.until(`document.querySelector("#answer").textContent.startsWith("I am no language model.")`)
	page.click(".code .copy")
	page.until(`document.querySelector(".code .copy").textContent === "Selected" && getSelection().toString().includes("EventSource")`)
	page.driven("llm-insecure", false)
}

// The program examples/llm/answerer works with a hub without demos.
func TestLLMExample(t *testing.T) {
	t.Parallel()
	m := startModel(t)
	h := startHub(t)
	answerer := filepath.Join(t.TempDir(), "answerer.exe")
	if out, err := exec.Command("go", "build", "-o", answerer, "../../examples/llm/answerer").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	start(t, exec.Command(answerer, "-hub", h.url(""), "-url", m.url, "-model", "parrot"))
	h.publish("llm", `{"id":"q1","prompt":"why?"}`, "type", "ask")
	stream := openRaw(t, h.url("/events?topic=llm/q1&last_event_id=earliest"))
	m.say("Because ")
	for _, want := range []struct{ typ, part string }{{"answer", `"model":"parrot"`}, {"token", `"text":"Because "`}} {
		if event := stream.next(t, "data"); event["event"] != want.typ || !strings.Contains(event["data"], want.part) {
			t.Errorf("want %s with %s, got %v", want.typ, want.part, event)
		}
	}
	m.say("")
	if event := stream.next(t, "data"); event["event"] != "done" || !strings.Contains(event["data"], `"reason":"stop"`) {
		t.Errorf("the answer ends with %v", event)
	}
}
