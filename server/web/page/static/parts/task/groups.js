// The results of a task: equal results form one group, the largest group first, each with its difference from the
// largest.
import { api, query } from "../../lib/api.js";
import { clock, look, plain, readable, size, visible } from "../../lib/format.js";
import { number, said, t } from "../../lib/i18n.js";
import { Copy, Empty, Field, html, Pill, Problem, refused, useAct, useAgain, useEffect, useRef, useState } from "../../lib/ui.js";
import { everything, wholeText } from "./files.js";
import { Notes } from "./notes.js";
import { Search } from "./search.js";

const WAIT = 1000;

function Diff({ path, group }) {
  const [diff, setDiff] = useState(null);
  const [busy, run, failure, clear] = useAct();
  const show = () => run(async () => setDiff(await api(`${path}/groups/${group.number}/diff?stream=${group.stdout || !group.stderr ? "stdout" : "stderr"}`)));
  if (!diff) return html`<button type="button" disabled=${busy} onClick=${show}>${t("groups.diff")}</button><${Problem} of=${failure} close=${clear} />`;
  return html`<div class="wide"><p class="small soft">${t("groups.diff.sum", { added: diff.added, removed: diff.removed })}${diff.complete ? "" : ` ${t("groups.diff.cut")}`} <button type="button" class="link" onClick=${() => setDiff(null)}>${t("close")}</button></p>
    <pre class="diff" tabindex="0">${diff.diff ? diff.diff.replace(/\n$/, "").split("\n").map((line) => html`<span class=${line[0] === "+" ? "added" : line[0] === "-" ? "removed" : ""}>${`${line.slice(0, 1)}${readable(line.slice(1))}\n`}</span>`) : t("groups.diff.same")}</pre></div>`;
}

// Groups that look equal: their difference is written out.
const lookOf = (group) => JSON.stringify([group.status, group.exit_code, group.signal, group.error?.code, ...["stdout", "stderr"].map((stream) => look(group[stream]?.text ?? ""))]);
function lookAlike(items) {
  const seen = new Map();
  for (const group of items) { const key = lookOf(group); seen.set(key, [...(seen.get(key) ?? []), group.number]); }
  return new Set([...seen.values()].filter((numbers) => numbers.length > 1).flat());
}

const Begin = ({ name, begin, exact }) => (begin ? html`<div class="output"><h4>${name}${begin.total_bytes === null ? null : html` <span class="soft">${size(begin.total_bytes)}</span>`}</h4><pre tabindex="0">${begin.total_bytes === null ? t("output.gone") : exact ? visible(begin.text) : readable(begin.text)}${begin.whole || begin.total_bytes === null ? "" : html`<span class="soft">${"\n"}${t("output.more")}</span>`}</pre></div>` : null);

function Group({ path, group, largest, openHost, folded, fold, exact }) {
  const why = said(group.status, { code: group.error?.code }), wrote = group.stdout || group.stderr;
  return html`<details class="card pad group" data-group=${group.number} open=${!folded} onToggle=${(event) => { if (event.target === event.currentTarget) fold(!event.target.open); }}>
    <summary><h3>${t("groups.n", { n: group.count })}</h3> <${Pill} status=${group.status} code=${group.error?.code} />
      ${group.exit_code !== null ? html` <span class="small">${t("exit")} ${group.exit_code}</span>` : group.signal ? html` <span class="small">${t("signal", { n: group.signal })}</span>` : null}
      <span class="mono small first">${plain(group.folded)}${group.more ? ` +${number(group.more)}` : ""}</span></summary>
    ${folded ? null : html`<div class="top"><div class="push">${group.number !== largest && wrote ? html`<${Diff} path=${path} group=${group} />` : null}
        ${wrote ? html`<${Copy} text=${() => wholeText(path, group)}>${t("groups.copy")}<//>` : null}<${Copy} text=${() => group.selector}>${t("groups.copy.hosts")}<//>
        <button type="button" onClick=${() => openHost(group.first_host.host_id)}>${t("groups.open", { name: plain(group.first_host.hostname) })}</button>
        <a class="button" href=${`/new${query({ targets: group.selector })}`}>${t("groups.target")}</a></div></div>
    <p class="mono small names">${plain(group.folded)}${group.more ? ` +${number(group.more)}` : ""}</p>
    ${group.error ? html`<p>${why.message}${group.error.detail ? `: ${readable(group.error.detail)}` : ""} <span class="soft">– ${why.hint}</span></p>` : null}
    <${Notes} of=${group.notes} total=${group.count} />
    ${exact ? html`<p class="small soft" data-exact>${t("groups.exact")}</p>` : null}
    <${Begin} name="stdout" begin=${group.stdout} exact=${exact} /><${Begin} name="stderr" begin=${group.stderr} exact=${exact} />
    ${!wrote && group.exit_code !== null ? html`<p class="soft small">${t("output.none")}</p>` : null}`}</details>`;
}

// told: the first page of the largest groups, from the event stream. Everything else is requested.
// ended: number of hosts that have ended. The groups follow a little later; until then the view says that they are
// behind.
export function Groups({ path, stamp, told, ended, openHost, name }) {
  const [order, setOrder] = useState("largest");
  const [where, setWhere] = useState("");
  const [page, setPage] = useState(null);
  const [wrong, setWrong] = useState(null);
  const [folded, setFolded] = useState(new Set());
  const [busy, run, failure, clear] = useAct();
  const at = useRef(0), timer = useRef(null), turn = useRef(0), now = useRef(null), madeAt = useRef(0);
  const plainly = order === "largest" && !where, view = now.current = `${order} ${where}`;
  const put = (next) => { madeAt.current = Date.now(); setWrong(null); setPage(next); };
  const read = async (after = null) => {
    const mine = ++turn.current;
    try {
      const found = await api(`${path}/groups${query({ order, where, after, limit: 10 })}`);
      if (mine === turn.current && view === now.current) put((old) => (after ? { ...found, view, items: [...old.items, ...found.items] } : { ...found, view }));
    } catch (bad) {
      if (mine !== turn.current || view !== now.current) return;
      setWrong(bad);
      // If the filter cannot be parsed, the list is empty, not unfiltered.
      if (refused(bad)) setPage({ items: [], view, next: null, groups: 0, hosts: 0 });
    }
  };
  useEffect(() => {
    if (!plainly || !told) return;
    put((old) => {
      const known = new Set(told.items.map((group) => group.number)), more = old?.view === view ? old.items.slice(told.items.length).filter((group) => !known.has(group.number)) : [];
      return more.length ? { ...told, view, items: [...told.items, ...more], next: old.next } : { ...told, view };
    });
  }, [told, plainly]);
  useEffect(() => {
    clearTimeout(timer.current);
    if (plainly && told) return;
    timer.current = setTimeout(() => { at.current = Date.now(); read(); }, Math.max(0, at.current + WAIT - Date.now()));
    return () => clearTimeout(timer.current);
  }, [plainly && told ? null : stamp, order, where, Boolean(told)]);
  useAgain(wrong, () => { at.current = Date.now(); read(); });
  // The filter is marked as wrong only if the server refuses it.
  const misread = refused(wrong) ? wrong : null;
  const largest = plainly ? page?.items[0]?.number : null, items = page?.items || [], behind = page && !wrong ? ended - page.hosts : 0;
  const fold = (group) => (shut) => { if (folded.has(group) !== shut) { const next = new Set(folded); if (!next.delete(group)) next.add(group); setFolded(next); } };
  const alike = lookAlike(items), all = items.length > 0 && items.every((group) => folded.has(group.number));
  return html`<div class="top"><h2>${t("groups")}</h2>${page && page.groups ? html`<span class="soft small">${t("groups.sum", { n: page.groups, hosts: page.hosts })}</span>` : null}
      ${items.length ? html`<div class="push"><button type="button" onClick=${() => setFolded(all ? new Set() : new Set(items.map((group) => group.number)))}>${t(all ? "groups.unfold" : "groups.fold")}</button>
        <button type="button" disabled=${busy} onClick=${() => run(() => everything(path, name))}>${t("groups.download")}</button></div>` : null}</div>
    <${Problem} of=${failure} close=${clear} />
    ${behind > 0 ? html`<p class="small warn behind" role="status">${t("groups.behind", { n: behind, time: clock(madeAt.current) })}</p>` : null}
    <div class="filters"><${Field} id="order" label=${t("groups.order")}><select id="order" onChange=${(event) => setOrder(event.target.value)}>${["largest", "outliers"].map((one) => html`<option value=${one}>${t(`groups.${one}`)}</option>`)}</select><//>
      <${Field} id="where" label=${t("groups.where")} wrong=${misread}><input id="where" type="search" placeholder="exit_code!=0 and text contains 'disk full'" spellcheck=${false} aria-invalid=${misread ? "true" : null} aria-describedby="where-wrong" onChange=${(event) => setWhere(event.target.value.trim())} /><//>
      <${Search} path=${path} openHost=${openHost} /></div>
    <${Problem} of=${misread ? null : wrong} />
    ${items.map((group) => html`<${Group} key=${group.number} path=${path} group=${group} largest=${largest} openHost=${openHost} exact=${alike.has(group.number)} folded=${folded.has(group.number)} fold=${fold(group.number)} />`)}
    ${page?.next ? html`<p><button type="button" onClick=${() => read(page.next)}>${t("more")}</button></p>` : null}
    ${page && !items.length && !wrong ? html`<${Empty} text=${t(where ? "groups.none.filtered" : "groups.none")} />` : null}`;
}
