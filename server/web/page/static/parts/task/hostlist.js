// The hosts of a task as a table: sorted, selected, saved as a file.
import { api, query } from "../../lib/api.js";
import { clock, plain, span } from "../../lib/format.js";
import { number, said, t, word } from "../../lib/i18n.js";
import { Field, html, Loading, Pill, Problem, STATES, useEffect, usePages, useRef, useState } from "../../lib/ui.js";
import { Rows } from "../table.js";

const COLUMNS = (openHost) => [
  { key: "hostname", head: t("host"), always: true, kind: "wide", value: (row) => row.hostname, cell: (row) => html`<button type="button" class="link" onClick=${() => openHost(row.host_id)}>${plain(row.hostname)}</button>` },
  { key: "status", head: t("tasks.status"), kind: "tight", value: (row) => row.status, cell: (row) => html`<${Pill} status=${row.status} unreachable=${row.unreachable} code=${row.error?.code} />` },
  { key: "exit_code", head: t("exit"), kind: "number", value: (row) => row.exit_code ?? (row.signal ? `signal ${row.signal}` : null), cell: (row) => row.exit_code ?? (row.signal ? t("signal", { n: row.signal }) : "–") },
  { key: "execution_ms", head: t("took"), kind: "number", value: (row) => row.execution_ms, cell: (row) => span(row.execution_ms) },
  { key: "reason", head: t("why"), kind: "wide", value: (row) => row.error?.code ?? null, cell: (row) => (row.error ? said(row.status, { code: row.error.code }).message : "") },
  { key: "attempt", head: t("attempt"), kind: "number", value: (row) => row.attempt, cell: (row) => number(row.attempt), off: true },
  { key: "stdout_bytes", head: "stdout", kind: "number", value: (row) => row.stdout?.total_bytes ?? 0, cell: (row) => number(row.stdout?.total_bytes ?? 0), off: true },
  { key: "stderr_bytes", head: "stderr", kind: "number", value: (row) => row.stderr?.total_bytes ?? 0, cell: (row) => number(row.stderr?.total_bytes ?? 0), off: true },
  { key: "host_id", head: t("host.id"), kind: "mono small", value: (row) => row.host_id, cell: (row) => row.host_id, off: true },
];

// version: the current version of the task.
function List({ path, status, openHost, stamp, version, bulk, name }) {
  // When the first rows were read, and at which version of the task.
  const now = useRef(version), read = useRef({ version, at: 0 });
  now.current = version;
  const found = usePages((after, limit, whole) => {
    if (!after && !whole) read.current = { version: now.current, at: Date.now() };
    return api(`${path}/hosts${query({ status, after, limit })}`);
  }, [status]);
  // While a task runs, the list is read again only when the status of the task changes, because rows that keep moving
  // cannot be read.
  useEffect(() => { if (found.items) found.reload(); }, [stamp]);
  if (!found.items) return html`<${Problem} of=${found.failure} /><${Loading} />`;
  return html`<${Problem} of=${found.failure} />${read.current.version === version ? null : html`<p class="small warn" role="status">${t("task.list.old", { time: clock(read.current.at) })} <button type="button" class="link" onClick=${found.reload}>${t("task.list.read")}</button></p>`}<${Rows} name="task-hosts" label=${name} columns=${COLUMNS(openHost)} found=${found} id=${(row) => row.host_id} bulk=${bulk} empty=${html`<p class="soft">${t("hosts.none.filtered")}</p>`} />`;
}

// choose(ids): selects these hosts on the map, where the actions are.
export function HostList({ path, progress, openHost, choose }) {
  const [open, setOpen] = useState(false);
  const [status, setStatus] = useState("");
  const bulk = (rows, unchoose) => html`<button type="button" onClick=${() => { choose(rows.map((row) => row.host_id)); unchoose(); document.getElementById("task-hosts").scrollIntoView({ block: "start" }); }}>${t("map.choose.these", { n: rows.length })}</button>`;
  return html`<details class="list" onToggle=${(event) => { if (event.target === event.currentTarget) setOpen(event.target.open); }}><summary>${t("task.list", { n: progress.total })}</summary>
    ${open ? html`<${Field} id="row-status" label=${t("tasks.status")}><select id="row-status" onChange=${(event) => setStatus(event.target.value)}><option value="">${t("tasks.all")}</option>
      ${STATES.map((one) => html`<option value=${one}>${word(one)} (${number(progress.counts[one])})</option>`)}</select><//>
      <${List} path=${path} status=${status} openHost=${openHost} stamp=${progress.status} version=${progress.version} bulk=${bulk} name=${t("task.list", { n: progress.total })} />` : null}</details>`;
}
