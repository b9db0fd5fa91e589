// Searches a text in all outputs of a task, and jumps to the group that wrote it.
import { api, query } from "../../lib/api.js";
import { plain, readable } from "../../lib/format.js";
import { number, t } from "../../lib/i18n.js";
import { Field, html, Problem, refused, useRef, useState } from "../../lib/ui.js";

const REQUESTS = 40, HITS = 100;

export function Search({ path, openHost }) {
  const [found, setFound] = useState(null);
  const [wrong, setWrong] = useState(null);
  const turn = useRef(0);
  // One request reads a limited number of outputs; the next request continues.
  const look = async (event) => {
    const text = event.target.value, mine = ++turn.current;
    setWrong(null);
    if (!text) return setFound(null);
    const hits = [];
    setFound({ hits, busy: true });
    try {
      for (let after = null, turns = 0; ; turns++) {
        const page = await api(`${path}/search${query({ text, ignore_case: "true", after, limit: 50 })}`);
        if (mine !== turn.current) return;
        hits.push(...page.items);
        after = page.next;
        const over = after === null || hits.length >= HITS || turns >= REQUESTS;
        setFound({ hits: [...hits], busy: !over, more: over && after !== null });
        if (over) return;
      }
    } catch (failure) { if (mine === turn.current) { setFound(null); setWrong(failure); } }
  };
  const misread = refused(wrong) ? wrong : null;
  return html`<${Field} id="find-text" label=${t("search.label")} wrong=${misread}><input id="find-text" type="search" data-search spellcheck=${false} aria-invalid=${misread ? "true" : null} aria-describedby="find-text-wrong" onChange=${look} /><//>
    ${wrong && !misread ? html`<div class="wide"><${Problem} of=${wrong} /></div>` : null}
    ${found ? html`<div class="hits wide" role="status"><p class="small soft">${found.busy ? t("loading") : t(found.more ? "search.some" : "search.found", { n: found.hits.length })}</p>
      ${found.hits.length ? html`<ul>${found.hits.map((hit) => html`<li><button type="button" class="link" onClick=${() => openHost(hit.first_host.host_id)}>${plain(hit.first_host.hostname)}</button>${hit.count > 1 ? ` +${number(hit.count - 1)}` : ""} <span class="soft small">${hit.stream}${hit.line === null ? "" : `:${number(hit.line)}`} · ${t("search.matches", { n: hit.matches })}</span><pre>${readable(hit.text)}</pre></li>`)}</ul>` : null}</div>` : null}`;
}
