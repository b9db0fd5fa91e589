// One host: facts, labels, history.
import { api } from "../lib/api.js";
import { plain, span } from "../lib/format.js";
import { number, t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, Fact, Field, html, Loading, open, Pill, Problem, useAct, useAgain, useEffect, usePages, useRef, useState, When } from "../lib/ui.js";
import { Orphans } from "../parts/orphans.js";
import { Presence } from "../parts/presence.js";
import { Rows } from "../parts/table.js";

const WAIT = 2000;
const id = encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2]));

const COLUMNS = (host) => [
  { key: "task", head: t("task"), always: true, kind: "wide", value: (one) => one.name, cell: (one) => html`<a href=${`/tasks/${one.task_id}?host=${host.host_id}`}>${plain(one.name)}</a>` },
  { key: "status", head: t("tasks.status"), kind: "tight", value: (one) => one.status, cell: (one) => html`<${Pill} status=${one.status} unreachable=${one.unreachable} code=${one.error?.code} />` },
  { key: "exit_code", head: t("exit"), kind: "number", value: (one) => one.exit_code ?? (one.signal ? `signal ${one.signal}` : null), cell: (one) => one.exit_code ?? (one.signal ? t("signal", { n: one.signal }) : "–") },
  { key: "execution_ms", head: t("took"), kind: "number", value: (one) => one.execution_ms, cell: (one) => span(one.execution_ms) },
  { key: "finished_at", head: t("ended"), kind: "tight soft", value: (one) => (one.finished_at ? new Date(one.finished_at).toISOString() : null), cell: (one) => html`<${When} at=${one.finished_at} />` },
];

function LabelEditor({ host, show }) {
  const [busy, run, failure, clear] = useAct();
  const [text, setText] = useState("");
  const change = (labels) => run(async () => { show(await api(`/hosts/${host.host_id}`, { method: "PATCH", body: { labels } })); setText(""); });
  const add = (event) => {
    event.preventDefault();
    const [key, ...value] = text.trim().split("=");
    change({ [key]: value.join("=") });
  };
  return html`<ul class="chips">${Object.entries(host.labels).map(([key, value]) => html`<li class="label">${plain(value ? `${key}=${value}` : key)} <button type="button" class="plain" disabled=${busy} aria-label=${t("host.unlabel", { key })} onClick=${() => change({ [key]: null })}>✕</button></li>`)}
      ${Object.entries(host.agent_labels).map(([key, value]) => html`<li class="label soft" title=${t("host.ownlabel")}>${plain(value ? `${key}=${value}` : key)}</li>`)}</ul>
    <form class="inline" onSubmit=${add}><${Field} id="label" label=${t("host.addlabel")}><input id="label" required value=${text} placeholder="env=prod" aria-invalid=${failure ? "true" : null} aria-describedby="label-wrong" onInput=${(event) => setText(event.target.value)} /><//><button disabled=${busy}>${t("host.add")}</button></form>
    <${Problem} of=${failure} close=${clear} id="label-wrong" />`;
}

// A name set here overrides the name that the agent reports.
function Rename({ host, show }) {
  const [busy, run, failure, clear] = useAct();
  const [text, setText] = useState("");
  const rename = (event) => {
    event.preventDefault();
    const hostname = text.trim();
    if (confirm(t("host.rename.sure", { old: plain(host.hostname), name: plain(hostname) }))) run(async () => { show(await api(`/hosts/${host.host_id}`, { method: "PATCH", body: { hostname } })); setText(""); });
  };
  return html`<form class="inline" onSubmit=${rename}><${Field} id="hostname" label=${t("host.rename")}><input id="hostname" required value=${text} placeholder=${plain(host.hostname)} autocomplete="off" autocapitalize="off" spellcheck=${false} aria-invalid=${failure ? "true" : null} aria-describedby="hostname-wrong" onInput=${(event) => setText(event.target.value)} /><//><button disabled=${busy}>${t("host.rename.do")}</button></form>
    <${Problem} of=${failure} close=${clear} id="hostname-wrong" />`;
}

function Host() {
  const [host, show] = useState(null);
  const [gone, setGone] = useState(false);
  const [wrong, setWrong] = useState(null);
  const [busy, run, failure, clear] = useAct();
  // The address may contain a former name of the host.
  const here = useRef(id);
  if (host) here.current = host.host_id;
  const past = usePages((after, limit) => api(`/hosts/${here.current}/tasks?limit=${limit}${after ? `&after=${after}` : ""}`), []);
  const read = () => api(`/hosts/${here.current}`).then((found) => { setWrong(null); show(found); }, (bad) => (bad.status === 404 ? setGone(true) : setWrong(bad)));
  useAgain(wrong, read);
  const list = useRef(null);
  list.current = past;
  // The event may be about any host or task, so this host is read again at a limited rate.
  useEffect(() => {
    let timer = null, at = Date.now();
    const look = () => { timer = null; at = Date.now(); read(); list.current.reload(); };
    const soon = () => { timer ??= setTimeout(look, Math.max(0, at + WAIT - Date.now())); };
    read();
    const stop = watch({ topic: "hosts,tasks" }, { hosts: soon, tasks: soon }, soon);
    return () => { clearTimeout(timer); stop(); };
  }, []);
  if (gone) return html`<div class="top"><h1>${t("title.host")}</h1></div><${Empty} text=${t("host.gone")}><a class="button" href="/hosts">${t("title.hosts")}</a><//>`;
  if (!host) return html`<${Problem} of=${wrong} /><${Loading} />`;
  document.title = `${plain(host.hostname)} · Clarion`;
  const act = (path, method, sure, then) => () => { if (confirm(t(sure, { name: plain(host.hostname) }))) run(async () => { const now = await api(`/hosts/${host.host_id}${path}`, { method }); if (then) then(); else show(now); }); };
  const identity = host.identity;
  return html`<div class="top"><h1>${plain(host.hostname)}</h1><${Presence} host=${host} />
      <div class="push"><a class="button primary" href=${`/new?targets=${host.host_id}`}>${t("nav.new")}</a>
        ${identity && identity.state !== "revoked" ? html`<button type="button" class="danger" disabled=${busy} onClick=${act("/revoke", "POST", "host.revoke.sure")}>${t("host.revoke")}</button>` : null}
        ${identity && identity.state !== "enrolled" ? html`<button type="button" disabled=${busy} onClick=${act("/release", "POST", "host.release.sure")}>${t("host.release")}</button>` : null}
        ${host.connected ? null : html`<button type="button" class="danger" disabled=${busy} onClick=${act("", "DELETE", "host.delete.sure", () => location.assign("/hosts"))}>${t("delete")}</button>`}</div></div>
    <${Problem} of=${failure} close=${clear} />
    ${!host.connected && identity && identity.state !== "enrolled" ? html`<p class="note warn">${t(`fate.${identity.state}`)}</p>` : null}
    <div class="two"><div class="card pad figures"><dl class="facts">
      <${Fact} name=${t("host.system")}>${plain([host.os, host.arch].filter(Boolean).join(" ")) || "–"}<//>
      <${Fact} name=${t("host.address")}>${plain(host.ip) || "–"}<//>
      <${Fact} name=${t("host.agent")}>${plain(host.version) || "–"}<//>
      <${Fact} name=${t(host.connected ? "host.since" : "host.seen")}><${When} at=${host.connected ? host.connected_since : host.last_seen_at} /><//>
      <${Fact} name=${t("host.open")}>${number(host.open_executions)}<//>
      <${Fact} name=${t("host.identity")}>${identity ? t(`identity.${identity.state}`) : t("identity.none")}${identity?.quarantine_reason ? `: ${plain(identity.quarantine_reason)}` : ""}<//>
      ${host.former_names?.length ? html`<${Fact} name=${t("host.former")}>${host.former_names.map(plain).join(", ")}<//>` : null}
      ${host.replaced_by ? html`<${Fact} name=${t("host.replaced")}><a href=${`/hosts/${host.replaced_by}`}>${host.replaced_by}</a><//>` : null}
      <${Fact} name=${t("host.id")}><span class="mono">${host.host_id}</span><//>
    </dl></div>
    <section class="card pad"><h2>${t("host.labels")}</h2><${LabelEditor} host=${host} show=${show} /><${Rename} host=${host} show=${show} /></section></div>
    <${Orphans} hostId=${host.host_id} />
    <h2>${t("host.history")}</h2><${Problem} of=${past.failure} />
    ${past.items === null ? past.failure ? null : html`<${Loading} />` : html`<div class="figures"><${Rows} name="history" label=${t("host.history")} columns=${COLUMNS(host)} found=${past} id=${(one) => `${one.task_id}/${one.attempt ?? ""}`} empty=${html`<${Empty} text=${t("host.nohistory")} />`} /></div>`}`;
}

open(Host);
