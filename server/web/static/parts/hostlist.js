// The task's hosts in words, for those who do not see the map, and for looking one up.
import { api, query } from "../lib/api.js";
import { span } from "../lib/format.js";
import { number, said, t, word } from "../lib/i18n.js";
import { Field, html, Pill, STATES, Table, usePages, useState } from "../lib/ui.js";

function Rows({ path, status, openHost, stamp }) {
  const found = usePages((after) => api(`${path}/hosts${query({ status, after, limit: 50 })}`), [status, stamp]);
  if (!found.items) return null;
  return html`<${Table} heads=${[t("host"), t("tasks.status"), t("exit"), t("took"), t("why")]} next=${found.next} more=${found.more}>
    ${found.items.map((row) => html`<tr key=${row.host_id}><td class="wide"><button type="button" class="link" onClick=${() => openHost(row.host_id)}>${row.hostname}</button></td>
      <td class="tight"><${Pill} status=${row.status} unreachable=${row.unreachable} code=${row.error?.code} /></td><td class="number">${row.exit_code ?? (row.signal ? t("signal", { n: row.signal }) : "–")}</td>
      <td class="number">${span(row.execution_ms)}</td><td class="wide">${row.error ? said(row.status, { code: row.error.code }).message : ""}</td></tr>`)}<//>`;
}

export function HostList({ path, progress, openHost }) {
  const [open, setOpen] = useState(false);
  const [status, setStatus] = useState("");
  return html`<details class="list" onToggle=${(event) => setOpen(event.target.open)}><summary>${t("task.list", { n: progress.total })}</summary>
    ${open ? html`<${Field} id="row-status" label=${t("tasks.status")}><select id="row-status" onChange=${(event) => setStatus(event.target.value)}><option value="">${t("tasks.all")}</option>
      ${STATES.map((one) => html`<option value=${one}>${word(one)} (${number(progress.counts[one])})</option>`)}</select><//>
      <${Rows} path=${path} status=${status} openHost=${openHost} stamp=${progress.status} />` : null}</details>`;
}
