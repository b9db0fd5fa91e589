// What every page is made of. All text enters the document as text nodes: nothing is ever parsed as markup.
import { html, render, useEffect, useRef, useState } from "../vendor/preact.js";
import { logOut, toLogin, session } from "./api.js";
import { ago, exact } from "./format.js";
import { t, told, word } from "./i18n.js";

export { html, useEffect, useRef, useState };
export const MARKS = { pending: "○", dispatched: "◔", running: "◐", completed: "✓", failed: "✕", timeout: "◷", canceled: "⊘", dispatch_failed: "⊖", lost: "?", unreachable: "≈" };
export const STATES = ["pending", "dispatched", "running", "completed", "failed", "timeout", "canceled", "dispatch_failed", "lost"];
export const FINAL = STATES.slice(3);
export const TASK_STATES = ["pending", "running", "completed", "failed", "canceled", "timeout"];

const notice = document.getElementById("notice");
export const calm = () => { notice.hidden = true; };
export function warn(failure) {
  if (failure.name === "AbortError" || failure.status === 401) return;
  const { message, hint, detail } = told(failure), more = detail ? [detail] : [];
  for (const name of ["unknown", "malformed"]) if (failure.more?.[name]?.length > 5) more.push(`${name}: ${failure.more[name].join(", ")}`);
  render(html`<div><b>${message}</b>${hint ? ` – ${hint}` : ""}${more.map((line) => html`<div class="small">${line}</div>`)}</div>`, notice);
  notice.hidden = false;
}

// Runs `act`; while it does `busy` is true, and what goes wrong is shown.
export function useAct() {
  const [busy, setBusy] = useState(false);
  const run = async (act) => {
    setBusy(true);
    try { await act(); calm(); } catch (failure) { warn(failure); }
    setBusy(false);
  };
  return [busy, run];
}

export function mount(Page) {
  const main = document.getElementById("main");
  main.replaceChildren();
  main.setAttribute("aria-busy", "true");
  document.getElementById("leave").addEventListener("click", () => logOut().then(toLogin, warn));
  document.getElementById("language").addEventListener("click", (event) => {
    document.cookie = `clarion-language=${event.target.dataset.language}; Path=/; Max-Age=31536000; SameSite=Strict`;
    location.reload();
  });
  render(html`<${Page} />`, main);
  main.removeAttribute("aria-busy");
}

// A page for those who are logged in. It asks for what it shows without waiting for the answer to who is there.
export function open(Page) {
  session().catch((failure) => { if (failure.status === 401) toLogin(); else warn(failure); });
  mount(Page);
}

export const Pill = ({ status, unreachable, code }) => {
  const shown = unreachable ? "unreachable" : status;
  return html`<span class=${`pill s-${shown}`}><span class="mark" aria-hidden="true">${MARKS[shown] || "•"}</span>${word(status, { unreachable, code })}</span>`;
};
export const When = ({ at }) => (at ? html`<time datetime=${new Date(at).toISOString()} title=${exact(at)}>${ago(at)}</time>` : "–");
export const Empty = ({ text, children }) => html`<div class="card empty"><p>${text}</p>${children}</div>`;
export const Labels = ({ of }) => Object.entries(of).map(([key, value]) => html`<span class="label">${value ? `${key}=${value}` : key}</span>`);
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

export function Copy({ text, children }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await put(text());
      setDone(true);
      setTimeout(() => setDone(false), 2000);
    } catch (failure) { warn(failure); }
  };
  return html`<button type="button" onClick=${copy}>${done ? t("copied") : children}</button>`;
}

// A list that grows by pages. load(after) -> {items, next}; `of` is what it depends on.
export function usePages(load, of) {
  const [page, setPage] = useState({ items: null, next: null });
  const turn = useRef(0);
  const fetchFirst = async () => {
    const mine = ++turn.current;
    try {
      const found = await load(null);
      if (mine === turn.current) { setPage(found); calm(); }
    } catch (failure) {
      if (mine === turn.current) { warn(failure); setPage((old) => ({ items: old.items || [], next: null, failed: true })); }
    }
  };
  useEffect(() => { fetchFirst(); }, of);
  const more = async () => {
    const mine = turn.current;
    try {
      const found = await load(page.next);
      if (mine === turn.current) setPage({ ...found, items: [...page.items, ...found.items] });
    } catch (failure) { warn(failure); }
  };
  return { ...page, more, reload: fetchFirst, change: setPage };
}

export const Table = ({ heads, children, next, more }) => html`<div class="card"><table><thead><tr>${heads.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead><tbody>${children}</tbody></table>
  ${next ? html`<div class="more"><button type="button" onClick=${more}>${t("more")}</button></div>` : null}</div>`;
export const Field = ({ id, label, soft, children }) => html`<div class="field"><label for=${id}>${label}${soft ? html`<span class="soft"> ${soft}</span>` : null}</label>${children}</div>`;
export const Loading = () => html`<p class="soft" role="status">${t("loading")}</p>`;
