// Helpers for all pages. All text enters the document as text nodes; no text is parsed as markup.
import { html, render, useEffect, useRef, useState } from "../vendor/preact.js";
import { refused, useAgain } from "./again.js";
import { logOut, session, toLogin } from "./api.js";
import { Banner } from "./banner.js";
import { ago, exact, plain } from "./format.js";
import { t, told, word } from "./i18n.js";
import { forget } from "./keep.js";
import { listen } from "./keys.js";
import { state, subscribe } from "./link.js";

export { html, refused, useAgain, useEffect, useRef, useState };
export const MARKS = { pending: "○", dispatched: "◔", running: "◐", completed: "✓", failed: "✕", timeout: "◷", canceled: "⊘", dispatch_failed: "⊖", lost: "?", unreachable: "≈" };
export const STATES = ["pending", "dispatched", "running", "completed", "failed", "timeout", "canceled", "dispatch_failed", "lost"];
export const OPEN = STATES.slice(0, 3), FINAL = STATES.slice(3);
export const TASK_STATES = ["pending", "running", "completed", "failed", "canceled", "timeout"];

// Not errors: a request that was aborted, and a session that ended, which the banner shows.
const silent = (failure) => !failure || failure.name === "AbortError" || failure.status === 401;

// An error, shown where it happened. It stays until the user acts again or closes it.
export function Problem({ of, close, id }) {
  if (silent(of)) return null;
  const { message, hint, detail } = told(of), more = detail ? [detail] : [];
  for (const name of ["unknown", "malformed"]) if (of.more?.[name]?.length > 5) more.push(`${name}: ${of.more[name].map(plain).join(", ")}`);
  // The place in a selector or a filter where the server found the error.
  const { excerpt, excerpt_column: column } = of.more ?? {};
  return html`<div class="problem" role="alert" id=${id}><div><b>${message}</b>${hint ? ` – ${hint}` : ""}${more.map((line) => html`<div class="small">${line}</div>`)}
    ${excerpt && column ? html`<pre class="caret">${`${plain(excerpt)}\n${" ".repeat([...plain(excerpt.slice(0, column - 1))].length)}^`}</pre>` : null}</div>
    ${close ? html`<button type="button" class="plain" aria-label=${t("close")} onClick=${close}>✕</button>` : null}</div>`;
}

// For errors that have no place of their own on the page.
const notice = document.getElementById("notice");
export const calm = () => { notice.hidden = true; render(null, notice); };
export function warn(failure) {
  if (silent(failure)) return;
  render(html`<${Problem} of=${failure} close=${calm} />`, notice);
  notice.hidden = false;
}

// Runs `act`. `busy` is true while it runs; `failure` is its error until the next run. -> [busy, run, failure, clear]
export function useAct() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(null);
  const run = async (act) => {
    setBusy(true);
    setFailure(null);
    try { await act(); } catch (wrong) { setFailure(wrong); }
    setBusy(false);
  };
  return [busy, run, failure, () => setFailure(null)];
}

export function mount(Page) {
  const main = document.getElementById("main");
  main.replaceChildren();
  main.setAttribute("aria-busy", "true");
  document.getElementById("leave").addEventListener("click", () => logOut().then(() => { forget(); toLogin(); }, warn));
  document.getElementById("language").addEventListener("click", (event) => {
    document.cookie = `clarion-language=${event.target.dataset.language}; Path=/; Max-Age=31536000; SameSite=Strict`;
    location.reload();
  });
  render(html`<${Page} />`, main);
  main.removeAttribute("aria-busy");
}

// A page for signed-in users. It requests its data without waiting for the response about the session.
export function open(Page) {
  const who = document.getElementById("who");
  let before = state();
  // Asks again if the server did not answer, and after it answers again, to learn whether it knows the session.
  const look = () => session().catch((failure) => { if (refused(failure)) warn(failure); else if (failure.status !== 401) setTimeout(look, AGAIN); });
  subscribe((now) => {
    who.hidden = now.who === null;
    if (now.who !== null) who.textContent = t("who", { name: plain(now.who) });
    if (before.stale && !now.stale && !now.out) look();
    before = now;
  });
  // A page without an event stream cannot notice a restart of the server between two of its requests.
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !state().out) look(); });
  look();
  render(html`<${Banner} />`, document.getElementById("link"));
  listen();
  mount(Page);
}

export const Pill = ({ status, unreachable, code }) => {
  const shown = unreachable ? "unreachable" : status;
  return html`<span class=${`pill s-${shown}`}><span class="mark" aria-hidden="true">${MARKS[shown] || "•"}</span>${word(status, { unreachable, code })}</span>`;
};
export const When = ({ at }) => (at ? html`<time datetime=${new Date(at).toISOString()} title=${exact(at)}>${ago(at)}</time>` : "–");
export const Empty = ({ text, children }) => html`<div class="card empty"><p>${text}</p>${children}</div>`;
export const Fact = ({ name, children }) => html`<dt>${name}</dt><dd>${children}</dd>`;

// Browsers offer the clipboard API only over TLS; the older way works without it.
async function put(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error(t("copy.refused"));
}

// text: returns the text to copy, or a promise of it. The button shows the outcome.
export function Copy({ text, children, kind = "" }) {
  const [said, setSaid] = useState(null);
  const copy = async () => {
    try {
      await put(await text());
      setSaid(t("copied"));
    } catch (failure) { setSaid(failure.message); }
    setTimeout(() => setSaid(null), 2500);
  };
  return html`<button type="button" class=${kind} onClick=${copy}>${said ?? children}</button>`;
}

// Offers a file for download. parts: text or bytes.
export function saveFile(name, parts, type = "application/octet-stream") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

const PAGE = 50, MOST = 500, AGAIN = 3000;
// A list that is loaded page by page. load(after, limit, whole: for a file) -> {items, next}; `of`: what it depends on.
// failure: why there are no rows, or no newer ones.
// If the server refuses the request, no rows are shown; if it does not answer, the previous rows stay.
export function usePages(load, of) {
  const [page, setPage] = useState({ items: null, next: null, failure: null });
  const turn = useRef(0), shown = useRef(null), now = useRef(page);
  now.current = page;
  const fetchFirst = async (limit) => {
    const mine = ++turn.current, key = JSON.stringify(of);
    try {
      const found = await load(null, limit);
      if (mine === turn.current) { shown.current = key; setPage({ ...found, failure: null }); }
    } catch (failure) {
      if (mine !== turn.current) return;
      const same = shown.current === key && !refused(failure);
      setPage((old) => ({ items: same ? old.items : [], next: same ? old.next : null, failure }));
    }
  };
  useEffect(() => { fetchFirst(PAGE); }, of);
  // Load as many rows as were shown before.
  const reload = () => fetchFirst(Math.max(PAGE, Math.min(now.current.items?.length ?? 0, MOST)));
  useAgain(page.failure, reload);
  const more = async (limit = PAGE) => {
    const mine = turn.current;
    try {
      const found = await load(now.current.next, limit);
      if (mine === turn.current) setPage((old) => ({ ...found, items: [...old.items, ...found.items], failure: null }));
    } catch (failure) { if (mine === turn.current) setPage((old) => ({ ...old, failure })); }
  };
  // All rows, up to a limit; for a file, or to sort by a column that the server does not sort by.
  const all = async (most = 10000) => {
    const items = [];
    for (let after = null; items.length < most;) {
      const found = await load(after, MOST, true);
      items.push(...found.items);
      after = found.next;
      if (!after) break;
    }
    return items;
  };
  return { ...page, more, reload, all, change: setPage };
}

export const Field = ({ id, label, soft, wrong, children }) => html`<div class="field"><label for=${id}>${label}${soft ? html`<span class="soft"> ${soft}</span>` : null}</label>${children}${wrong ? html`<${Problem} of=${wrong} id=${`${id}-wrong`} />` : null}</div>`;
export const Loading = () => html`<p class="soft" role="status">${t("loading")}</p>`;
