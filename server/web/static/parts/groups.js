// What the hosts answered: equal answers are one group, largest first, each with its difference from the largest.
import { api, query } from "../lib/api.js";
import { readable } from "../lib/format.js";
import { number, said, t } from "../lib/i18n.js";
import { Empty, Field, html, Pill, useEffect, useRef, useState, warn } from "../lib/ui.js";

const WAIT = 1000;

function Diff({ path, group }) {
  const [diff, setDiff] = useState(null);
  const show = async () => {
    try { setDiff(await api(`${path}/groups/${group.number}/diff?stream=${group.stdout || !group.stderr ? "stdout" : "stderr"}`)); } catch (failure) { warn(failure); }
  };
  if (!diff) return html`<button type="button" onClick=${show}>${t("groups.diff")}</button>`;
  return html`<div class="wide"><p class="small soft">${t("groups.diff.sum", { added: diff.added, removed: diff.removed })}${diff.complete ? "" : ` ${t("groups.diff.cut")}`}</p>
    <pre class="diff" tabindex="0">${diff.diff ? diff.diff.replace(/\n$/, "").split("\n").map((line) => html`<span class=${line[0] === "+" ? "added" : line[0] === "-" ? "removed" : ""}>${`${readable(line)}\n`}</span>`) : t("groups.diff.same")}</pre></div>`;
}

const Begin = ({ name, begin }) => (begin ? html`<div class="output"><h4>${name}</h4><pre tabindex="0">${begin.total_bytes === null ? t("output.gone") : readable(begin.text)}${begin.whole || begin.total_bytes === null ? "" : html`<span class="soft">${"\n"}${t("output.more")}</span>`}</pre></div>` : null);

function Group({ path, group, largest, openHost }) {
  const why = said(group.status, { code: group.error?.code });
  return html`<article class="card pad group" data-group=${group.number}>
    <div class="top"><h3>${t("groups.n", { n: group.count })}</h3><${Pill} status=${group.status} code=${group.error?.code} />
      ${group.exit_code !== null ? html`<span class="small">${t("exit")} ${group.exit_code}</span>` : group.signal ? html`<span class="small">${t("signal", { n: group.signal })}</span>` : null}
      <div class="push">${group.number !== largest && (group.stdout || group.stderr) ? html`<${Diff} path=${path} group=${group} />` : null}
        <button type="button" onClick=${() => openHost(group.first_host.host_id)}>${t("groups.open", { name: group.first_host.hostname })}</button>
        <a class="button" href=${`/new${query({ targets: group.selector })}`}>${t("groups.target")}</a></div></div>
    <p class="mono small names">${group.folded}${group.more ? ` +${number(group.more)}` : ""}</p>
    ${group.error ? html`<p>${why.message}${group.error.detail ? `: ${readable(group.error.detail)}` : ""} <span class="soft">– ${why.hint}</span></p>` : null}
    <${Begin} name="stdout" begin=${group.stdout} /><${Begin} name="stderr" begin=${group.stderr} />
    ${!group.stdout && !group.stderr && group.exit_code !== null ? html`<p class="soft small">${t("output.none")}</p>` : null}</article>`;
}

// told: the first page of the largest, as the server tells it whenever it changes. What else one may want to see is asked for.
export function Groups({ path, stamp, told, openHost }) {
  const [order, setOrder] = useState("largest");
  const [where, setWhere] = useState("");
  const [page, setPage] = useState(null);
  const at = useRef(0), timer = useRef(null), turn = useRef(0), now = useRef(null);
  const plain = order === "largest" && !where, view = now.current = `${order} ${where}`;
  const read = async (after = null) => {
    const mine = ++turn.current;
    try {
      const found = await api(`${path}/groups${query({ order, where, after, limit: 10 })}`);
      if (mine === turn.current && view === now.current) setPage((old) => (after ? { ...found, view, items: [...old.items, ...found.items] } : { ...found, view }));
    } catch (failure) { warn(failure); }
  };
  useEffect(() => {
    if (!plain || !told) return;
    setPage((old) => {
      const known = new Set(told.items.map((group) => group.number)), more = old?.view === view ? old.items.slice(told.items.length).filter((group) => !known.has(group.number)) : [];
      return more.length ? { ...told, view, items: [...told.items, ...more], next: old.next } : { ...told, view };
    });
  }, [told, plain]);
  useEffect(() => {
    clearTimeout(timer.current);
    if (plain && told) return;
    timer.current = setTimeout(() => { at.current = Date.now(); read(); }, Math.max(0, at.current + WAIT - Date.now()));
    return () => clearTimeout(timer.current);
  }, [plain && told ? null : stamp, order, where, Boolean(told)]);
  const largest = plain ? page?.items[0]?.number : null;
  return html`<div class="filters"><${Field} id="order" label=${t("groups.order")}><select id="order" onChange=${(event) => setOrder(event.target.value)}>${["largest", "outliers"].map((one) => html`<option value=${one}>${t(`groups.${one}`)}</option>`)}</select><//>
      <${Field} id="where" label=${t("groups.where")}><input id="where" type="search" placeholder="exit_code!=0 and text contains 'disk full'" spellcheck=${false} onChange=${(event) => setWhere(event.target.value.trim())} /><//></div>
    ${page?.items.map((group) => html`<${Group} key=${group.number} path=${path} group=${group} largest=${largest} openHost=${openHost} />`)}
    ${page?.next ? html`<p><button type="button" onClick=${() => read(page.next)}>${t("more")}</button></p>` : null}
    ${page && !page.items.length ? html`<${Empty} text=${t(where ? "groups.none.filtered" : "groups.none")} />` : null}`;
}
