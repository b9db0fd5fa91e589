// Server-sent events, with a new try after every break and polling for as long as the server has no room for another viewer.
import { API } from "./api.js";

// handlers: event name -> function(data). poll: called every 5 s while there is no stream. Returns a function that ends it all.
export function watch(wanted, handlers, poll) {
  let source = null, timer = null, ended = false, last = null, wait = 2000;
  function open() {
    if (ended) return;
    const query = new URLSearchParams(wanted);
    if (last) query.set("after", last);
    source = new EventSource(`${API}/events?${query}`);
    source.onopen = () => { wait = 2000; };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
    source.addEventListener("bye", () => { source.close(); again(); });
    // A break is mended by the browser itself, with Last-Event-ID; a refusal is not.
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
  }
  function again() {
    if (ended) return;
    clearTimeout(timer);
    poll?.();
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 1.5, 15000);
  }
  open();
  return () => { ended = true; clearTimeout(timer); source?.close(); };
}
