// What every page is made of. All text enters the document as text nodes: nothing is ever parsed as markup.
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

// What is not anybody's mistake: a request that was given up, and a session that ended, which the top of the page says.
const silent = (failure) => !failure || failure.name === "AbortError" || failure.status === 401;

// What went wrong, where it went wrong. It stays until the user acts again, or closes it.
export function Problem({ of, close, id }) {
  if (silent(of)) return null;
  const { message, hint, detail } = told(of), more = detail ? [detail] : [];
  for (const name of ["unknown", "malformed"]) if (of.more?.[name]?.length > 5) more.push(`${name}: ${of.more[name].map(plain).join(", ")}`);
  // The place in a selector or a filter at which the server stumbled.
  const { excerpt, excerpt_column: column } = of.more ?? {};
  return html`<div class="problem" role="alert" id=${id}><div><b>${message}</b>${hint ? ` – ${hint}` : ""}${more.map((line) => html`<div class="small">${line}</div>`)}
    ${excerpt && column ? html`<pre class="caret">${`${plain(excerpt)}\n${" ".repeat([...plain(excerpt.slice(0, column - 1))].length)}^`}</pre>` : null}</div>
    ${close ? html`<button type="button" class="plain" aria-label=${t("close")} onClick=${close}>✕</button>` : null}</div>`;
}

// For what has no place of its own on the page.
const notice = document.getElementById("notice");
export const calm = () => { notice.hidden = true; render(null, notice); };
export function warn(failure) {
  if (silent(failure)) return;
  render(html`<${Problem} of=${failure} close=${calm} />`, notice);
  notice.hidden = false;
}

// Runs `act`; while it does `busy` is true, and what goes wrong is `failure` until the next act. -> [busy, run, failure, clear]
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

// A page for those who are logged in. It asks for what it shows without waiting for the answer to who is there.
export function open(Page) {
  const who = document.getElementById("who");
  let before = state();
  // Of a server that did not answer this is asked again; of one that has come back, whether it knows the session.
  const look = () => session().catch((failure) => { if (refused(failure)) warn(failure); else if (failure.status !== 401) setTimeout(look, AGAIN); });
  subscribe((now) => {
    who.hidden = now.who === null;
    if (now.who !== null) who.textContent = t("who", { name: plain(now.who) });
    if (before.stale && !now.stale && !now.out) look();
    before = now;
  });
  // A page without a stream is not told that the server was started anew between two of its questions.
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

// Browsers give pages that came without TLS no clipboard, but still the old way to it.
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

// text: gives, or promises, what is copied. The button says itself what came of it.
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

// Hands the user a file. parts: text or bytes.
export function saveFile(name, parts, type = "application/octet-stream") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

const PAGE = 50, MOST = 500, AGAIN = 3000;
// A list that grows by pages. load(after, limit, whole: for a file) -> {items, next}; `of` is what it depends on. failure: why there is nothing, or nothing new.
// What the server cannot read shows no rows; a server that does not answer leaves those that were there.
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
  // As many as were there before.
  const reload = () => fetchFirst(Math.max(PAGE, Math.min(now.current.items?.length ?? 0, MOST)));
  useAgain(page.failure, reload);
  const more = async (limit = PAGE) => {
    const mine = turn.current;
    try {
      const found = await load(now.current.next, limit);
      if (mine === turn.current) setPage((old) => ({ ...found, items: [...old.items, ...found.items], failure: null }));
    } catch (failure) { if (mine === turn.current) setPage((old) => ({ ...old, failure })); }
  };
  // All that there are, at most so many; for a file, or to sort by what the server does not sort by.
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
