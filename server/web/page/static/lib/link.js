// Whether the page is up to date: when the server last sent something, and whether the session is valid.
// A source is an event stream, or the polling that replaces it. It is silent if nothing arrived for its `quiet`
// milliseconds.
export const GRACE = 2500;
const QUIET = 12000, TICK = 500, PROBE = 5000, PATIENCE = 4000;
const sources = new Set(), listeners = new Set();
const probe = { at: Date.now(), quiet: QUIET, asked: 0 };
let now = { stale: false, at: Date.now(), out: false, who: null }, hidden = document.hidden, shownAt = 0;

function tell(next) {
  if (Object.keys(next).every((key) => now[key] === next[key])) return;
  now = { ...now, ...next };
  document.body.classList.toggle("stale", now.stale || now.out);
  for (const listener of listeners) listener(now);
}
export const state = () => now;
export const subscribe = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };

// restart: opens the stream again. aside: the page's data does not depend on this source. Returns the source.
export function source(restart, aside = false) {
  const made = { aside, at: Date.now(), quiet: QUIET, broken: null, tried: Date.now(), polls: false, restart };
  sources.add(made);
  return Object.assign(made, {
    heard(quiet) { Object.assign(made, { at: Date.now(), broken: null, polls: false, quiet: quiet ?? made.quiet }); look(); },
    broke() { made.broken ??= Date.now(); },
    end() { sources.delete(made); look(); },
  });
}
// The server has answered a request. For polling this is a sign of life like an event.
export function answered() {
  for (const one of sources) if (one.polls) Object.assign(one, { at: Date.now(), broken: null });
  look();
}
// The signed-in user, as the server has just reported.
export const named = (who) => tell({ who });
export function signedOut() { tell({ out: true, who: null }); }
export function signedIn(who) {
  tell({ out: false, who });
  retry();
}
export function retry() {
  for (const one of sources) one.restart();
  if (!sources.size) ask(Date.now());
}

// A page without a stream asks whether the server is reachable.
async function ask(at) {
  probe.asked = at;
  try {
    const answer = await fetch("/health/live", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.ok) { probe.at = Date.now(); look(); }
  } catch { /* Silence is what is looked for: it shows as the time of the last answer. */ }
}

function look() {
  const at = Date.now();
  if (document.hidden) { hidden = true; return; }
  if (hidden) { hidden = false; shownAt = at; }
  const main = [...sources].filter((one) => !one.aside), all = main.length ? main : [probe];
  let since = null;
  for (const one of all) {
    // After the clock was set back, earlier times would lie in the future.
    if (one.at > at) one.at = at;
    const silent = at - one.at > one.quiet, broken = one.broken && at - one.broken > GRACE;
    if (silent || broken) since = Math.min(since ?? one.at, one.at);
  }
  // A tab that becomes visible again has closed its stream before: it gets a moment to open a new one.
  if (at - shownAt < GRACE) since = null;
  tell(since === null ? { stale: false } : { stale: true, at: since });
}
setInterval(() => {
  const at = Date.now();
  look();
  if (document.hidden || now.out) return;
  if (![...sources].some((one) => !one.aside) && at - probe.asked > PROBE) ask(at);
  // A silent connection is dead, even if the browser considers it open: the network was lost, the laptop slept, or the
  // server hangs.
  for (const one of sources) if (at - one.at > one.quiet && at - one.tried > one.quiet) one.restart();
}, TICK);
