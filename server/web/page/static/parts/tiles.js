// The hosts of a small task by name, as tiles. A tile is opened and selected by mouse, touch and keyboard.
import { plain } from "../lib/format.js";
import { t, word } from "../lib/i18n.js";
import { html, MARKS, useRef } from "../lib/ui.js";
import { stateOf } from "./task/map.js";

export const NAMED = 60;

export function Tiles({ names, states, chosen, toggle, openHost, picking, at, setAt }) {
  const box = useRef(null), total = names.length;
  const go = (place) => { setAt(place); box.current.querySelectorAll("button")[place].focus(); };
  const keys = (event) => {
    const columns = getComputedStyle(box.current).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: total - 1 - at }[event.key];
    if (step !== undefined) go(Math.max(0, Math.min(total - 1, at + step)));
    else if (event.key === " " && event.target.tagName === "BUTTON") toggle([at]);
    else return;
    event.preventDefault();
  };
  const click = (place) => (event) => {
    setAt(place);
    if (picking || event.shiftKey || event.ctrlKey || event.metaKey) toggle([place]); else openHost(place);
  };
  return html`<ul class="hosts" ref=${box} onKeyDown=${keys} aria-label=${t("map.list", { n: total })}>${names.map((name, place) => {
    const here = stateOf(states[place]), own = chosen.has(place), kind = here.unreachable ? "unreachable" : here.status;
    return html`<li key=${place} class=${`s-${kind} ${own ? "chosen" : ""}`} data-host=${name}><input type="checkbox" checked=${own} tabindex="-1" aria-label=${t("map.choose.one", { name: plain(name) })} onClick=${() => toggle([place])} />
      <button type="button" tabindex=${place === at ? 0 : -1} onClick=${click(place)} title=${plain(name)}><span class="mark" aria-hidden="true">${MARKS[kind]}</span><span class="name">${plain(name)}</span><span class="word">${word(here.status, here)}</span></button></li>`;
  })}</ul>`;
}
