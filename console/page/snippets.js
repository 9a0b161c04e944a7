// The shortest honest program in each language, with this hub's address and a
// topic in it.

import { coloured, copyButton } from "./static/code.js";
import { el } from "./static/dom.js";
import { onLanguage, rich, t } from "./static/i18n.js";
import { signedIn } from "./static/token.js";

// url names a topic in the path if it is plain, else in the query. No language's
// quotes end in it.
function url(topic) {
  const encoded = encodeURIComponent(topic).replaceAll("'", "%27");
  return location.origin + (/^[\w.~-]+$/.test(topic) ? `/events/${topic}` : `/events?topic=${encoded}`);
}

const bearer = (header, none = "") => (signedIn() ? header : none);

const SNIPPETS = [
  {
    id: "curl",
    name: "curl",
    blocks: (u) => [
      ["publish", `curl${bearer(' -H "Authorization: Bearer $TOKEN"')} -d 'hello from curl' '${u}'`],
      ["subscribe", `curl -N${bearer(' -H "Authorization: Bearer $TOKEN"')} '${u}'`],
    ],
  },
  {
    id: "js",
    name: "JavaScript",
    note: "snippet.browser",
    blocks: (u) => [
      [
        "subscribe",
        `const source = new EventSource("${u}");

source.onmessage = (event) => {                  // unnamed events
  console.log(event.data, event.lastEventId);
};
source.addEventListener("price", (event) => {    // events of type price
  console.log(JSON.parse(event.data));
});
source.addEventListener("gap", () => location.reload()); // no longer retained`,
      ],
    ],
  },
  {
    id: "react",
    name: "React",
    note: "snippet.browser",
    blocks: (u) => [
      [
        "subscribe",
        `import { useEffect, useState } from "react";

export function useEvents(url) {
  const [events, setEvents] = useState([]);
  useEffect(() => {
    const source = new EventSource(url);
    source.onmessage = (event) => setEvents((all) => [...all.slice(-99), event.data]);
    return () => source.close();
  }, [url]);
  return events;
}

export default function News() {
  const events = useEvents("${u}");
  return <ul>{events.map((data, i) => <li key={i}>{data}</li>)}</ul>;
}`,
      ],
    ],
  },
  {
    id: "vue",
    name: "Vue",
    note: "snippet.browser",
    blocks: (u) => [
      [
        "subscribe",
        `<script setup>
import { onUnmounted, ref } from "vue";

const events = ref([]);
const source = new EventSource("${u}");
source.onmessage = (event) => {
  events.value = [...events.value.slice(-99), event.data];
};
onUnmounted(() => source.close());
</script>

<template>
  <ul><li v-for="(data, i) in events" :key="i">{{ data }}</li></ul>
</template>`,
      ],
    ],
  },
  {
    id: "node",
    name: "Node",
    blocks: (u) => [
      [
        "publish",
        `const answer = await fetch("${u}", {
  method: "POST",
${bearer('  headers: { Authorization: `Bearer ${process.env.TOKEN}` },\n')}  body: "hello from Node",
});
console.log(answer.status, await answer.json());`,
      ],
    ],
  },
  {
    id: "python",
    name: "Python",
    blocks: (u) => [
      [
        "publish",
        `${bearer("import os\n")}from urllib.request import Request, urlopen

headers = {"Content-Type": "text/plain"${bearer(', "Authorization": "Bearer " + os.environ["TOKEN"]')}}
with urlopen(Request("${u}", b"hello from Python", headers)) as answer:
    print(answer.status, answer.read().decode())`,
      ],
    ],
  },
  {
    id: "php",
    name: "PHP",
    blocks: (u) => [
      [
        "publish",
        `<?php
echo file_get_contents("${u}", false, stream_context_create(["http" => [
    "method" => "POST",
    "header" => ["Content-Type: text/plain"${bearer(', "Authorization: Bearer " . getenv("TOKEN")')}],
    "content" => "hello from PHP",
]]));`,
      ],
    ],
  },
  {
    id: "go",
    name: "Go",
    blocks: (u) => [
      [
        "publish",
        signedIn()
          ? `package main

import (
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	req, err := http.NewRequest("POST", "${u}", strings.NewReader("hello from Go"))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	log.Print(resp.Status)
}`
          : `package main

import (
	"log"
	"net/http"
	"strings"
)

func main() {
	resp, err := http.Post("${u}", "text/plain", strings.NewReader("hello from Go"))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	log.Print(resp.Status)
}`,
      ],
    ],
  },
];

// mountSnippets fills a place with a tab for each language.
export function mountSnippets(place) {
  const prefix = place.id;
  const topic = el("input", { class: "mono", value: "hello", autocomplete: "off", spellcheck: "false" });
  const tabs = SNIPPETS.map(({ id, name }) =>
    el("button", { type: "button", role: "tab", id: `${prefix}-${id}`, "aria-controls": `${prefix}-panel`, "data-snippet": id }, name),
  );
  const panel = el("div", { id: `${prefix}-panel`, role: "tabpanel", class: "snippet" });
  const list = el("div", { role: "tablist", class: "tablist" }, ...tabs);
  let chosen = 0;

  const draw = () => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", i === chosen);
      tab.tabIndex = i === chosen ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", tabs[chosen].id);
    const { blocks, note } = SNIPPETS[chosen];
    panel.replaceChildren(
      ...blocks(url(topic.value.trim() || "hello")).map(([kind, source]) => {
        const code = el("code", {}, ...coloured(source));
        return el("section", { class: "code" }, el("header", {}, el("h3", {}, t(`snippet.${kind}`)), copyButton(code)), el("pre", { tabindex: 0 }, code));
      }),
      ...(note ? [el("p", { class: "hint" }, ...rich(t(note)))] : []),
    );
  };
  const choose = (i) => {
    chosen = (i + tabs.length) % tabs.length;
    draw();
  };
  tabs.forEach((tab, i) => tab.addEventListener("click", () => choose(i)));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    choose(chosen + step);
    tabs[chosen].focus();
  });
  topic.addEventListener("input", draw);
  place.classList.add("panel", "snippets");
  place.replaceChildren(el("header", {}, list, el("label", {}, el("span", { "data-i18n": "publish.topic" }, "Topic"), topic)), panel);
  onLanguage(draw);
  return draw;
}
