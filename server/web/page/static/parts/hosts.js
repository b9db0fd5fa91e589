// The hosts of a task: as tiles if they are few, as a map if they are many. Hosts are searched, selected and opened.
import { plain } from "../lib/format.js";
import { t, word } from "../lib/i18n.js";
import { html, useRef, useState } from "../lib/ui.js";
import { HostMap, stateOf } from "./task/map.js";
import { NAMED, Tiles } from "./tiles.js";

export function Hosts({ cells, chosen, choose, openHost }) {
  const { names, states, version } = cells, few = names.length <= NAMED;
  const [at, setAt] = useState(0);
  const [picking, setPicking] = useState(false);
  const [text, setText] = useState("");
  const found = useRef({ text: null, of: null, places: [] });
  const wanted = text.trim().toLowerCase();
  if (found.current.text !== wanted || found.current.of !== names) found.current = { text: wanted, of: names, places: wanted ? [...names.keys()].filter((place) => names[place].toLowerCase().includes(wanted)) : [] };
  const { places } = found.current;
  const toggle = (which, add = false) => { const next = new Set(chosen); for (const place of which) if (add || !next.delete(place)) next.add(place); choose(next); };
  const type = (event) => {
    setText(event.target.value);
    const first = event.target.value.trim() ? names.findIndex((name) => name.toLowerCase().includes(event.target.value.trim().toLowerCase())) : -1;
    if (first >= 0) setAt(first);
  };
  const keys = (event) => {
    if (event.key !== "Enter" || !places.length) return;
    event.preventDefault();
    if (event.shiftKey) return setAt(places[(places.indexOf(at) + 1) % places.length]);
    openHost(places.includes(at) ? at : places[0]);
  };
  const here = names.length ? stateOf(states[at]) : null, common = { names, states, version, chosen, toggle, openHost, picking, at, setAt };
  return html`<div class="tools"><label class="inline-label" for="find">${t("map.find")}</label><input id="find" type="search" value=${text} placeholder=${names[0] ? plain(names[0]) : ""} spellcheck=${false} autocapitalize="off" autocomplete="off" aria-describedby="found" onInput=${type} onKeyDown=${keys} />
      <span id="found" class="small soft" role="status">${wanted ? t("map.found", { n: places.length }) : ""}</span>
      ${wanted && places.length ? html`<button type="button" onClick=${() => toggle(places, true)}>${t("map.choose.found", { n: places.length })}</button>` : null}
      <button type="button" class="push" aria-pressed=${String(picking)} onClick=${() => setPicking(!picking)}>${t("map.pick")}</button></div>
    ${few ? html`<${Tiles} ...${common} />` : html`<${HostMap} ...${common} />`}
    <p id="map-here" class="small soft" role="status">${here && !few ? html`<b>${plain(names[at])}</b>: ${word(here.status, here)} · ` : null}${t(picking ? "map.picking" : few ? "map.keys.few" : "map.keys")}</p>`;
}
