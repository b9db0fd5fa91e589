// The field for hosts: completes the word at the cursor with existing names and labels.
import { api, query } from "../lib/api.js";
import { plain } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";

const SOON = 150, MOST = 8;
const WORDS = ["all", "online", "and", "or", "not"];
const word = (text, at) => /[^\s,()]*$/.exec(text.slice(0, at))[0];

export function HostNames({ id, value, set, invalid }) {
  const [offers, setOffers] = useState([]);
  const [at, setAt] = useState(-1);
  const field = useRef(null), turn = useRef(0), timer = useRef(null);
  const close = () => { turn.current++; clearTimeout(timer.current); setOffers([]); setAt(-1); };
  useEffect(() => () => clearTimeout(timer.current), []);
  const look = () => {
    const begun = word(field.current.value, field.current.selectionStart), mine = ++turn.current;
    clearTimeout(timer.current);
    if (!begun || /[*?[\]=:'"]/.test(begun)) return close();
    timer.current = setTimeout(async () => {
      // Completion is optional: without a response the field simply offers none.
      const page = await api(`/hosts${query({ name: `${begun}*`, limit: MOST })}`).catch(() => ({ items: [] }));
      if (mine !== turn.current) return;
      const names = [...new Set(page.items.map((host) => host.hostname)), ...WORDS.filter((one) => one.startsWith(begun))].filter((one) => one !== begun);
      setOffers(names.slice(0, MOST));
      setAt(-1);
    }, SOON);
  };
  const take = (name) => {
    const text = field.current.value, end = field.current.selectionStart, from = end - word(text, end).length;
    close();
    set(text.slice(0, from) + name + text.slice(end));
    requestAnimationFrame(() => { field.current.focus(); field.current.setSelectionRange(from + name.length, from + name.length); });
  };
  const keys = (event) => {
    if (!offers.length || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown") setAt((at + 1) % offers.length);
    else if (event.key === "ArrowUp") setAt((at + offers.length - 1 + (at < 0 ? 1 : 0)) % offers.length);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(offers[at]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="complete"><input id=${id} ref=${field} type="text" required value=${value} role="combobox" aria-expanded=${String(offers.length > 0)} aria-controls=${`${id}-offers`} aria-autocomplete="list" aria-activedescendant=${at >= 0 ? `${id}-offer-${at}` : null}
      aria-invalid=${invalid ? "true" : null} aria-describedby="preview" placeholder="web[01-12] and not role=db" autocomplete="off" autocapitalize="off" spellcheck=${false} onInput=${(event) => { set(event.target.value); look(); }} onKeyDown=${keys} onBlur=${() => setTimeout(close, 150)} />
    <ul id=${`${id}-offers`} role="listbox" aria-label=${t("complete.label")} hidden=${!offers.length}>${offers.map((name, place) => html`<li id=${`${id}-offer-${place}`} role="option" aria-selected=${String(place === at)} onMouseDown=${(event) => { event.preventDefault(); take(name); }}>${plain(name)}</li>`)}</ul></div>`;
}
