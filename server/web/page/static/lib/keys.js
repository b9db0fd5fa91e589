// Keyboard shortcuts of all pages. Keys typed into a field are text.
import { t } from "./i18n.js";

const GO = { o: "/", t: "/tasks", h: "/hosts", n: "/new", "?": "/help" }, WITHIN = 1500;
export const KEYS = [["/", "keys.search"], ["g o", "nav.overview"], ["g t", "nav.tasks"], ["g h", "nav.hosts"], ["g n", "nav.new"], ["g ?", "nav.help"], ["?", "keys.list"], ["Esc", "keys.leave"], ["Ctrl Enter", "keys.send"]];
const typed = (target) => target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && !/^(?:checkbox|radio|button)$/.test(target.type);

function list() {
  const box = document.createElement("dialog"), table = document.createElement("dl"), title = document.createElement("h2"), close = document.createElement("button");
  title.textContent = t("keys.title");
  close.textContent = t("close");
  table.className = "facts";
  for (const [keys, what] of KEYS) {
    const name = document.createElement("dt"), text = document.createElement("dd");
    for (const key of keys.split(" ")) { const one = document.createElement("kbd"); one.textContent = key; name.append(one, " "); }
    text.textContent = t(what);
    table.append(name, text);
  }
  box.id = "keys";
  box.setAttribute("aria-labelledby", "keys-title");
  title.id = "keys-title";
  close.addEventListener("click", () => box.close());
  box.addEventListener("close", () => box.remove());
  box.append(title, table, close);
  document.body.append(box);
  box.showModal();
}

export function listen() {
  let gone = 0;
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.metaKey || event.ctrlKey) return;
    if (typed(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
    if (document.querySelector("dialog[open]")) return;
    const went = Date.now() - gone < WITHIN;
    gone = 0;
    if (went && GO[event.key]) location.assign(GO[event.key]);
    else if (event.key === "g") gone = Date.now();
    else if (event.key === "?") list();
    else if (event.key === "/") document.querySelector("[data-search]")?.focus();
    else return;
    event.preventDefault();
  });
}
