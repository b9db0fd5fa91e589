// One host: what it is, its labels, what it was told to do.
import { api } from "../lib/api.js";
import { span } from "../lib/format.js";
import { number, t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { calm, Empty, Fact, Field, html, Loading, open, Pill, Table, useAct, useEffect, usePages, useRef, useState, warn, When } from "../lib/ui.js";

const WAIT = 2000, FIRST = 25;
const id = encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2]));

function LabelEditor({ host, show }) {
  const [busy, run] = useAct();
  const [text, setText] = useState("");
  const change = (labels) => run(async () => { show(await api(`/hosts/${id}`, { method: "PATCH", body: { labels } })); setText(""); });
  const add = (event) => {
    event.preventDefault();
    const [key, ...value] = text.trim().split("=");
    change({ [key]: value.join("=") });
  };
  return html`<ul class="chips">${Object.entries(host.labels).map(([key, value]) => html`<li class="label">${value ? `${key}=${value}` : key} <button type="button" class="plain" disabled=${busy} aria-label=${t("host.unlabel", { key })} onClick=${() => change({ [key]: null })}>✕</button></li>`)}
      ${Object.entries(host.agent_labels).map(([key, value]) => html`<li class="label soft" title=${t("host.ownlabel")}>${value ? `${key}=${value}` : key}</li>`)}</ul>
    <form class="inline" onSubmit=${add}><${Field} id="label" label=${t("host.addlabel")}><input id="label" required value=${text} placeholder="env=prod" onInput=${(event) => setText(event.target.value)} /><//><button disabled=${busy}>${t("host.add")}</button></form>`;
}

function Host() {
  const [host, show] = useState(null);
  const [gone, setGone] = useState(false);
  const [busy, run] = useAct();
  const past = usePages((after) => api(`/hosts/${id}/tasks?limit=${FIRST}${after ? `&after=${after}` : ""}`), []);
  const read = () => api(`/hosts/${id}`).then(show, (failure) => (failure.status === 404 ? setGone(true) : warn(failure)));
  const list = useRef(null);
  list.current = past;
  // Any host and any task may be what changed: this one is read again, at most so often. A history that was paged through stays as it is.
  useEffect(() => {
    let timer = null, at = Date.now();
    const look = () => { timer = null; at = Date.now(); read(); if ((list.current.items || []).length <= FIRST) list.current.reload(); };
    const soon = () => { timer ??= setTimeout(look, Math.max(0, at + WAIT - Date.now())); };
    read();
    const stop = watch({ topic: "hosts,tasks" }, { hosts: soon, tasks: soon }, soon);
    return () => { clearTimeout(timer); stop(); };
  }, []);
  if (gone) return html`<${Empty} text=${t("host.gone")}><a class="button" href="/hosts">${t("title.hosts")}</a><//>`;
  if (!host) return html`<${Loading} />`;
  const act = (path, method, sure, then) => () => { if (confirm(t(sure, { name: host.hostname }))) run(async () => { const now = await api(`/hosts/${id}${path}`, { method }); calm(); then ? then() : show(now); }); };
  const identity = host.identity;
  return html`<div class="top"><h1>${host.hostname}</h1>
      <span class=${`pill s-${host.connected ? "completed" : "unreachable"}`}><span class="mark" aria-hidden="true">${host.connected ? "●" : "○"}</span>${t(host.connected ? "host.connected" : host.first_seen_at ? "host.away" : "host.never")}</span>
      <div class="push"><a class="button primary" href=${`/new?targets=${host.host_id}`}>${t("nav.new")}</a>
        ${identity && identity.state !== "revoked" ? html`<button type="button" class="danger" disabled=${busy} onClick=${act("/revoke", "POST", "host.revoke.sure")}>${t("host.revoke")}</button>` : null}
        ${identity && identity.state !== "enrolled" ? html`<button type="button" disabled=${busy} onClick=${act("/release", "POST", "host.release.sure")}>${t("host.release")}</button>` : null}
        ${host.connected ? null : html`<button type="button" class="danger" disabled=${busy} onClick=${act("", "DELETE", "host.delete.sure", () => location.assign("/hosts"))}>${t("delete")}</button>`}</div></div>
    <div class="card pad"><dl class="facts">
      <${Fact} name=${t("host.system")}>${[host.os, host.arch].filter(Boolean).join(" ") || "–"}<//>
      <${Fact} name=${t("host.address")}>${host.ip || "–"}<//>
      <${Fact} name=${t("host.agent")}>${host.version || "–"}<//>
      <${Fact} name=${t(host.connected ? "host.since" : "host.seen")}><${When} at=${host.connected ? host.connected_since : host.last_seen_at} /><//>
      <${Fact} name=${t("host.open")}>${number(host.open_executions)}<//>
      <${Fact} name=${t("host.identity")}>${identity ? t(`identity.${identity.state}`) : t("identity.none")}${identity?.quarantine_reason ? `: ${identity.quarantine_reason}` : ""}<//>
      <${Fact} name=${t("host.id")}><span class="mono">${host.host_id}</span><//>
    </dl></div>
    <section class="card pad"><h2>${t("host.labels")}</h2><${LabelEditor} host=${host} show=${show} /></section>
    <h2>${t("host.history")}</h2>
    ${past.items === null ? html`<${Loading} />` : past.items.length ? html`<${Table} heads=${[t("task"), t("tasks.status"), t("exit"), t("took"), t("ended")]} next=${past.next} more=${past.more}>
      ${past.items.map((one) => html`<tr><td class="wide"><a href=${`/tasks/${one.task_id}?host=${host.host_id}`}>${one.name}</a></td><td class="tight"><${Pill} status=${one.status} unreachable=${one.unreachable} code=${one.error?.code} /></td>
        <td class="number">${one.exit_code ?? (one.signal ? t("signal", { n: one.signal }) : "–")}</td><td class="number">${span(one.execution_ms)}</td><td class="tight soft"><${When} at=${one.finished_at} /></td></tr>`)}<//>`
      : html`<${Empty} text=${t("host.nohistory")} />`}`;
}

open(Host);
