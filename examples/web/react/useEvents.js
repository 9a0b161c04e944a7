import { useEffect, useState } from "react";

// useEvents returns the newest events of a stream, oldest first, and its state:
// connecting, open or closed.
export function useEvents(url, { keep = 100 } = {}) {
  const [events, setEvents] = useState([]);
  const [state, setState] = useState("connecting");

  useEffect(() => {
    let source;
    const show = () => setState(["connecting", "open", "closed"][source.readyState]);
    const open = () => {
      setEvents([]);
      source = new EventSource(url);
      source.onopen = show;
      source.onerror = show; // "connecting": the browser comes back by itself, and misses nothing
      source.onmessage = ({ data, lastEventId: id }) => setEvents((known) => [...known, { id, data }].slice(-keep));
      source.addEventListener("gap", restart); // what was missed is no longer retained
    };
    const close = () => source.close();
    const restart = () => (close(), open());
    // A page that is left may live on for the back button, and its connection with it.
    const back = ({ persisted }) => persisted && open();
    addEventListener("pagehide", close);
    addEventListener("pageshow", back);
    open();
    return () => {
      removeEventListener("pagehide", close);
      removeEventListener("pageshow", back);
      close();
    };
  }, [url, keep]);

  return { events, state };
}
