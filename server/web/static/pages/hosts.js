// All hosts, filtered by a selector.
import { api, query } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, Field, html, Labels, Loading, open, Table, useEffect, usePages, useRef, useState, When } from "../lib/ui.js";

const start = new URLSearchParams(location.search);

const Presence = ({ host }) => html`<span class=${`pill s-${host.connected ? "completed" : "unreachable"}`}><span class="mark" aria-hidden="true">${host.connected ? "●" : "○"}</span>${t(host.connected ? "host.connected" : host.first_seen_at ? "host.away" : "host.never")}</span>`;

function Hosts() {
  const [select, setSelect] = useState(start.get("select") || "");
  const [connected, setConnected] = useState(start.get("connected") || "");
  const [counts, setCounts] = useState(null);
  const found = usePages((after) => api(`/hosts${query({ select, connected, after, limit: 50 })}`), [select, connected]);
  const list = useRef(null);
  list.current = found;
  const timer = useRef(null);
  useEffect(() => {
    let changes = null, at = 0;
    const reread = () => { if ((list.current.items || []).length <= 50) list.current.reload(); };
    return watch({ topic: "hosts" }, { hosts: (data) => {
      setCounts(data);
      if (changes !== null && changes !== data.changes) {
        clearTimeout(timer.current);
        timer.current = setTimeout(() => { at = Date.now(); reread(); }, Math.max(0, at + 3000 - Date.now()));
      }
      changes = data.changes;
    } }, reread);
  }, []);
  const change = (set, name) => (event) => {
    const value = event.target.value.trim();
    set(value);
    history.replaceState(null, "", location.pathname + query({ select, connected, [name]: value }));
  };
  return html`<div class="top"><h1>${t("title.hosts")}</h1>${counts ? html`<span class="soft push">${t("overview.n", { n: counts.connected, known: counts.known })}</span>` : null}</div>
    <form class="card filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} id="select" label=${t("hosts.select")} soft=${t("hosts.select.soft")}><input id="select" type="search" value=${select} placeholder="web* and role=db" spellcheck=${false} autocapitalize="off" onChange=${change(setSelect, "select")} /><//>
      <${Field} id="connected" label=${t("hosts.presence")}><select id="connected" onChange=${change(setConnected, "connected")}>
        ${[["", "hosts.all"], ["true", "host.connected"], ["false", "host.away"]].map(([value, key]) => html`<option value=${value} selected=${connected === value}>${t(key)}</option>`)}</select><//>
    </form>
    ${found.items === null ? html`<${Loading} />`
      : found.items.length ? html`<${Table} heads=${[t("host"), t("hosts.presence"), t("host.system"), t("host.agent"), t("host.labels")]} next=${found.next} more=${found.more}>
        ${found.items.map((host) => html`<tr key=${host.host_id}>
          <td class="wide"><a href=${`/hosts/${host.host_id}`}>${host.hostname}</a></td>
          <td class="tight"><${Presence} host=${host} />${host.connected ? null : html`<div class="small soft"><${When} at=${host.last_seen_at} /></div>`}</td>
          <td>${[host.os, host.arch].filter(Boolean).join(" ") || "–"}</td><td class="number">${host.version || "–"}</td>
          <td><${Labels} of=${{ ...host.agent_labels, ...host.labels }} /></td></tr>`)}<//>`
      : select || connected ? html`<${Empty} text=${t(found.failed ? "hosts.wrong" : "hosts.none.filtered")} />`
      : html`<${Empty} text=${t("hosts.none")}><p>${t("hosts.none.how")} <code>clarion join-token create</code> · <code>clarion-agent join</code></p><//>`}`;
}

open(Hosts);
