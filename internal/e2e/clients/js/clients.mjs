// Each client connects to url as its README says. It calls saw(type, data) with each
// event that a page's handler for messages gets, and when it gives up.

// listen sets the handlers of a client with EventSource's interface.
const listen = (source, saw) => {
  source.onmessage = (e) => saw(e.type, e.data);
  source.onerror = () => {
    if (source.readyState === 2) saw("closed for good");
  };
};

class RetriableError extends Error {}

export const clients = {
  // In browsers.
  EventSource: (url, saw) => listen(new EventSource(url), saw),

  "Turbo stream source": async (url, saw) => {
    await import("@hotwired/turbo");
    addEventListener("turbo:before-stream-render", ({ detail }) => saw("message", detail.newStream.templateContent.textContent));
    document.body.innerHTML = `<div id="numbers"></div><turbo-stream-source src="${url}"></turbo-stream-source>`;
  },

  "htmx-ext-sse": async (url, saw) => {
    await import("htmx-ext-sse");
    const { default: htmx } = await import("htmx.org");
    document.body.addEventListener("htmx:sseMessage", ({ detail }) => saw(detail.type, detail.data));
    document.body.innerHTML = `<div hx-ext="sse" sse-connect="${url}" sse-swap="message" hx-swap="beforeend"></div>`;
    htmx.process(document.body);
  },

  Datastar: async (url, saw) => {
    document.body.innerHTML = `<div data-on-load="sse('${url}')"></div>`;
    document.addEventListener("datastar-sse", ({ detail: { type, argsRaw } }) => {
      if (type === "datastar-merge-signals") saw("message", String(JSON.parse(argsRaw.signals).n));
    });
    await import("@starfederation/datastar/dist/datastar.js");
  },

  "reconnecting-eventsource, onmessage": async (url, saw) => {
    const { default: ReconnectingEventSource } = await import("reconnecting-eventsource");
    listen(new ReconnectingEventSource(url), saw);
  },

  "reconnecting-eventsource, addEventListener": async (url, saw) => {
    const { default: ReconnectingEventSource } = await import("reconnecting-eventsource");
    new ReconnectingEventSource(url).addEventListener("message", (e) => saw(e.type, e.data));
  },

  "event-source-polyfill": async (url, saw) => {
    const { default: polyfill } = await import("event-source-polyfill");
    listen(new polyfill.EventSourcePolyfill(url), saw);
  },

  "sse.js, autoReconnect": async (url, saw) => {
    const { SSE } = await import("sse.js");
    listen(new SSE(url, { autoReconnect: true }), saw);
  },

  "fetch-event-source, plain": async (url, saw) => {
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, { onmessage: (m) => saw(m.event || "message", m.data) });
  },

  "fetch-event-source, retrying": async (url, saw) => {
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      async onopen(response) {
        if (!response.ok) throw new RetriableError();
      },
      onmessage: (m) => saw(m.event || "message", m.data),
      onclose() {
        throw new RetriableError(); // the README: if the server closes the connection unexpectedly, retry
      },
      onerror() {}, // returning retries
    });
  },

  "fetch-event-source, JSON.parse": async (url, saw) => {
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      onmessage(m) {
        try {
          JSON.parse(m.data);
        } catch (err) {
          saw("JSON.parse failed", m.data);
          throw err;
        }
        saw(m.event || "message", m.data);
      },
    });
  },

  // In browsers and Node.js.
  "eventsource 3": async (url, saw) => {
    const { EventSource } = await import("eventsource3");
    listen(new EventSource(url), saw);
  },

  "eventsource 4": async (url, saw) => {
    const { EventSource } = await import("eventsource4");
    listen(new EventSource(url), saw);
  },

  "eventsource-client": async (url, saw) => {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({ url, onMessage: ({ event, data }) => saw(event ?? "message", data) });
  },

  "eventsource-parser in a loop": async (url, saw) => {
    const { createParser } = await import("eventsource-parser");
    let lastEventId = "";
    let reconnectionTime = 3000;
    for (;;) {
      try {
        const { body } = await fetch(url, { headers: { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) } });
        const parser = createParser({
          onEvent({ event, data, id }) {
            lastEventId = id ?? lastEventId;
            saw(event ?? "message", data);
          },
          onRetry: (ms) => (reconnectionTime = ms),
        });
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) parser.feed(value);
      } catch {
        // a broken stream: reconnect, as after its end
      }
      await new Promise((resolve) => setTimeout(resolve, reconnectionTime));
    }
  },

  "extended-eventsource": async (url, saw) => {
    const { EventSource } = await import("extended-eventsource");
    listen(new EventSource(url), saw);
  },

  // In Node.js.
  "eventsource 2": async (url, saw) => {
    const { default: EventSource } = await import("eventsource2");
    listen(new EventSource(url), saw);
  },

  "launchdarkly-eventsource": async (url, saw) => {
    const { EventSource } = (await import("launchdarkly-eventsource")).default;
    listen(new EventSource(url), saw);
  },

  "undici EventSource": async (url, saw) => {
    const { EventSource } = await import("undici");
    listen(new EventSource(url), saw);
  },
};
