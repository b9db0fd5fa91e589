// Server-sent events, with a new try after every break, from the last event on.
import { API, query } from "./api.js";

const REST = 2000;

// path: below the API. handlers: event name -> function(data). broken: called when there is no stream and a new one is tried later.
// interrupted: called whenever one breaks. Returns a function that ends it all.
export function follow(path, handlers, broken, interrupted) {
  let source = null, timer = null, resting = null, ended = false, last = null, wait = 2000;
  function open() {
    if (ended) return;
    const after = last ? `${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(last)}` : "";
    source = new EventSource(API + path + after);
    source.onopen = () => { wait = 2000; };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (ended) return;
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
    source.addEventListener("bye", () => { source.close(); again(); });
    // A break is mended by the browser itself, with Last-Event-ID; a refusal is not.
    source.onerror = () => { interrupted?.(); if (source.readyState === EventSource.CLOSED) again(); };
  }
  function again() {
    if (ended) return;
    clearTimeout(timer);
    broken?.();
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 1.5, 15000);
  }
  // A browser has six connections to a server without TLS (HTTP/1.1) for all its tabs together, so a tab that nobody sees keeps none.
  function look() {
    clearTimeout(resting);
    if (!document.hidden) return source || open();
    resting = setTimeout(() => { clearTimeout(timer); source?.close(); source = null; }, REST);
  }
  document.addEventListener("visibilitychange", look);
  open();
  return () => { ended = true; document.removeEventListener("visibilitychange", look); clearTimeout(resting); clearTimeout(timer); source?.close(); };
}

// Events of topics and tasks. poll: called for as long as the server has no room for another viewer.
export const watch = (wanted, handlers, poll) => follow(`/events${query(wanted)}`, handlers, poll);
