import { onScopeDispose, ref, shallowRef } from "vue";

// useEvents returns the newest events of a stream, oldest first, and its state:
// connecting, open or closed. The stream ends with the component.
export function useEvents(url, { keep = 100 } = {}) {
  const events = shallowRef([]);
  const state = ref("connecting");

  let source;
  const show = () => (state.value = ["connecting", "open", "closed"][source.readyState]);
  const open = () => {
    events.value = [];
    source = new EventSource(url);
    source.onopen = show;
    source.onerror = show; // "connecting": the browser comes back by itself, and misses nothing
    source.onmessage = ({ data, lastEventId: id }) => (events.value = [...events.value, { id, data }].slice(-keep));
    source.addEventListener("gap", restart); // what was missed is no longer retained
  };
  const close = () => source.close();
  const restart = () => (close(), open());
  // A page that is left may live on for the back button, and its connection with it.
  const back = ({ persisted }) => persisted && open();
  addEventListener("pagehide", close);
  addEventListener("pageshow", back);
  onScopeDispose(() => {
    removeEventListener("pagehide", close);
    removeEventListener("pageshow", back);
    close();
  });
  open();

  return { events, state };
}
