// All hosts, filtered by a selector. Selected hosts can get a task or labels.
import { api, query } from "../lib/api.js";
import { plain } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, Field, html, Loading, open, Problem, refused, useAct, useEffect, usePages, useRef, useState } from "../lib/ui.js";
import * as nouns from "../nouns/hosts/index.js";
import { HowToJoin, Labels, labelsOf, Presence, Seen } from "../parts/presence.js";
import { runOn, targetsOf } from "../parts/run_on.js";
import { Chips, Rows } from "../parts/table.js";

const start = new URLSearchParams(location.search);
const WAIT = 3000, AT_ONCE = 4;

const iso = (ms) => (ms ? new Date(ms).toISOString() : null);
const COLUMNS = () => [
  { key: "hostname", head: t("host"), always: true, kind: "wide", value: (host) => host.hostname, cell: (host) => html`<a href=${`/hosts/${host.host_id}`}>${plain(host.hostname)}</a>` },
  { key: "connected", head: t("hosts.presence"), kind: "tight", value: (host) => (host.connected ? "online" : "offline"), cell: (host) => html`<${Presence} host=${host} />` },
  { key: "last_seen_at", head: t("host.seen"), kind: "tight soft", value: (host) => (host.connected ? iso(Date.now()) : iso(host.last_seen_at)), cell: (host) => html`<${Seen} host=${host} />` },
  { key: "os", head: t("host.system"), value: (host) => [host.os, host.arch].filter(Boolean).join(" "), cell: (host) => plain([host.os, host.arch].filter(Boolean).join(" ")) || "–" },
  { key: "version", head: t("host.agent"), kind: "number", value: (host) => host.version, cell: (host) => plain(host.version) || "–" },
  { key: "ip", head: t("host.address"), kind: "mono small", value: (host) => host.ip, cell: (host) => plain(host.ip) || "–", off: true },
  { key: "labels", head: t("host.labels"), value: (host) => labelsOf(host).map(([key, value]) => (value ? `${key}=${value}` : key)).join(" "), cell: (host) => html`<${Labels} host=${host} />` },
  { key: "open_executions", head: t("host.open"), kind: "number", value: (host) => host.open_executions, cell: (host) => host.open_executions, off: true },
  { key: "connected_since", head: t("host.since"), kind: "tight soft", value: (host) => iso(host.connected_since), cell: (host) => iso(host.connected_since) ?? "–", off: true },
  { key: "host_id", head: t("host.id"), kind: "mono small", value: (host) => host.host_id, cell: (host) => host.host_id, off: true },
];

// Sets or removes a label on all selected hosts. Hosts that could not be changed stay selected, and the first error is
// shown.
function Bulk({ rows, reload }) {
  const [busy, run, failure, clear] = useAct();
  const [text, setText] = useState("");
  const [done, setDone] = useState(null);
  const apply = (remove) => (event) => {
    event.preventDefault();
    const [key, ...value] = text.trim().split("="), labels = { [key]: remove ? null : value.join("=") };
    run(async () => {
      setDone(0);
      const left = [...rows], wrong = [];
      const work = async () => { for (let host = left.shift(); host; host = left.shift()) { try { await api(`/hosts/${host.host_id}`, { method: "PATCH", body: { labels } }); setDone((old) => old + 1); } catch (bad) { wrong.push(bad); if (!bad.status || refused(bad)) left.length = 0; } } };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      await reload();
      if (wrong.length) throw wrong[0];
      setText("");
    });
  };
  return html`<button type="button" class="primary" disabled=${busy} onClick=${() => runOn(targetsOf(rows))}>${t("table.run", { n: rows.length })}</button>
    <form class="label-form" onSubmit=${apply(false)}><label class="inline-label" for="bulk-label">${t("host.label")}</label><input id="bulk-label" required value=${text} placeholder="env=prod" spellcheck=${false} autocapitalize="off" onInput=${(event) => setText(event.target.value)} />
      <button disabled=${busy}>${t("hosts.label")}</button><button type="button" disabled=${busy || !text.trim()} onClick=${apply(true)}>${t("hosts.unlabel")}</button></form>
    ${done === null ? null : html`<span class="small soft" role="status">${t("hosts.labeled", { n: done })}</span>`}<${Problem} of=${failure} close=${clear} />`;
}

function Hosts() {
  const [filters, setFilters] = useState({ select: start.get("select") || "", connected: start.get("connected") || "" });
  const { select, connected } = filters;
  const [counts, setCounts] = useState(null);
  const found = usePages((after, limit) => api(`/hosts${query({ select, connected, after, limit })}`), [select, connected]);
  const list = useRef(null);
  list.current = found;
  const timer = useRef(null);
  useEffect(() => {
    let changes = null, at = 0;
    const again = () => { if (!refused(list.current.failure)) list.current.reload(); };
    // Only the event stream reports the number of hosts; without it the number is unknown.
    const read = () => { setCounts(null); again(); };
    return watch({ topic: "hosts" }, { hosts: (data) => {
      setCounts(data);
      if (changes !== null && changes !== data.changes) {
        clearTimeout(timer.current);
        timer.current = setTimeout(() => { at = Date.now(); again(); }, Math.max(0, at + WAIT - Date.now()));
      }
      changes = data.changes;
    } }, read);
  }, []);
  const put = (next) => { history.replaceState(null, "", location.pathname + query(next)); setFilters(next); };
  const wrong = refused(found.failure) ? found.failure : null;
  const presets = [["true", "host.online"], ["false", "host.offline"]].map(([value, key]) => ({ text: t(key), on: connected === value, set: () => put({ select, connected: connected === value ? "" : value }) }));
  const chips = select ? [{ key: "select", text: `${t("hosts.select")}: ${plain(select)}`, clear: () => put({ select: "", connected }) }] : [];
  const clear = () => put({ select: "", connected: "" }), meant = [select && `(${select})`, { true: "online", false: "not online" }[connected]].filter(Boolean).join(" and ") || "all";
  return html`<div class="top"><h1>${t("title.hosts")}</h1>${counts ? html`<span class="soft">${t("overview.n", { n: counts.connected, known: counts.known })}</span>` : null}
      <div class="push"><a class="button primary" href=${`/new${query({ targets: meant })}`}>${t(meant === "all" ? "hosts.run.all" : "hosts.run")}</a></div></div>
    <form class="card filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} id="select" label=${t("hosts.select")} soft=${t("hosts.select.soft")} wrong=${wrong}><input id="select" type="search" data-search value=${select} placeholder="web* and role=db" spellcheck=${false} autocapitalize="off" aria-invalid=${wrong ? "true" : null} aria-describedby="select-wrong" onChange=${(event) => put({ select: event.target.value.trim(), connected })} /><//>
    </form>
    <${Chips} presets=${presets} chips=${chips} clear=${clear} />
    ${Object.values(nouns).map((Part) => html`<${Part} select=${select} choose=${(selector) => put({ select: selector, connected })} />`)}
    ${wrong ? null : html`<${Problem} of=${found.failure} />`}
    ${found.items === null ? found.failure ? null : html`<${Loading} />`
      : found.items.length ? html`<div class="figures"><${Rows} name="hosts" label=${t("title.hosts")} columns=${COLUMNS()} found=${found} id=${(host) => host.host_id} bulk=${(rows) => html`<${Bulk} rows=${rows} reload=${found.reload} />`} /></div>`
      : wrong ? html`<${Empty} text=${t("filters.wrong")}><button type="button" onClick=${clear}>${t("filters.clear")}</button><//>`
      : found.failure ? html`<${Empty} text=${t("nothing.now")}><button type="button" onClick=${found.reload}>${t("again")}</button><//>`
      : select || connected ? html`<${Empty} text=${t("hosts.none.filtered")}><button type="button" onClick=${clear}>${t("filters.clear")}</button><//>`
      : html`<${Empty} text=${t("hosts.none")}><${HowToJoin} /><//>`}`;
}

open(Hosts);
