// Server-sent events. After every interruption or silence a new stream continues after the last event.
import { API, query } from "./api.js";
import { source as watched, state, subscribe } from "./link.js";

const REST = 2000, FIRST = 2000, MOST = 8000;
// The server sends a sign of life at an interval that it announces. A stream that is silent for this much longer is
// considered dead.
const quiet = (seconds) => 2400 * seconds + 1500;

// path: below the API. handlers: event name -> function(data). broken: called when there is no stream and a new one is
// tried later.
// interrupted: called when a stream breaks. back: called with the first event after that. aside: the page's data does
// not depend on this stream.
// Returns a function that closes the stream for good.
export function follow(path, handlers, { broken, interrupted, back, aside } = {}) {
  let stream = null, timer = null, resting = null, ended = false, last = null, wait = FIRST, lost = false;
  const open = () => {
    clearTimeout(timer);
    stream?.close();
    link.tried = Date.now();
    if (ended || state().out) return;
    const after = last ? `${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(last)}` : "";
    const own = stream = new EventSource(API + path + after);
    const heard = (event, seconds) => {
      if (event.lastEventId) last = event.lastEventId;
      wait = FIRST;
      link.heard(seconds === undefined ? undefined : quiet(seconds));
      if (!lost) return;
      lost = false;
      back?.();
    };
    own.addEventListener("beat", (event) => { if (stream === own && !ended) heard(event, JSON.parse(event.data)); });
    for (const [name, handle] of Object.entries(handlers)) {
      own.addEventListener(name, (event) => {
        if (ended || stream !== own) return;
        heard(event);
        handle(JSON.parse(event.data));
      });
    }
    own.addEventListener("bye", () => { own.close(); if (stream === own) again(); });
    // The browser itself repairs an interruption, with Last-Event-ID; it does not retry after a refusal.
    own.onerror = () => {
      if (ended || stream !== own) return;
      gone();
      if (own.readyState === EventSource.CLOSED) again();
    };
  };
  const gone = () => { lost = true; link.broke(); interrupted?.(); };
  const link = watched(() => { gone(); open(); }, aside);
  function again() {
    if (ended) return;
    clearTimeout(timer);
    gone();
    if (state().out) return;
    link.polls = Boolean(broken);
    broken?.();
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 1.5, MOST);
  }
  // A browser opens at most six connections to a server without TLS (HTTP/1.1), over all its tabs. So a hidden tab
  // closes its stream.
  function look() {
    clearTimeout(resting);
    if (!document.hidden) return stream || open();
    resting = setTimeout(() => { clearTimeout(timer); stream?.close(); stream = null; lost = true; }, REST);
  }
  document.addEventListener("visibilitychange", look);
  open();
  return () => { ended = true; document.removeEventListener("visibilitychange", look); clearTimeout(resting); clearTimeout(timer); stream?.close(); link.end(); };
}

// Events of topics and tasks. read: requests everything that is shown; called after an interruption, and repeatedly
// while the server refuses another stream.
export const watch = (wanted, handlers, read) => follow(`/events${query(wanted)}`, handlers, { broken: read, back: read });
