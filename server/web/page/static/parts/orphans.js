// The orphans of a host: executions that the database has lost. They are shown, then deleted.
import { api } from "../lib/api.js";
import { readable } from "../lib/format.js";
import { said, t } from "../lib/i18n.js";
import { html, Problem, useAct, usePages, When } from "../lib/ui.js";

const endOf = ({ report, stage }) => (report ? [said(report.outcome).word, report.exit_code ?? null].filter((one) => one !== null).join(" · ") : stage ? t(`orphans.${stage}`) : "–");

export function Orphans({ hostId }) {
  const found = usePages((after, limit) => api(`/orphans?host=${hostId}&limit=${limit}${after ? `&after=${after}` : ""}`), [hostId]);
  const [busy, run, failure, clear] = useAct();
  const { items } = found;
  const remove = () => { if (confirm(t("orphans.delete.sure"))) run(async () => { await api(`/orphans/${hostId}`, { method: "DELETE" }); await found.reload(); }); };
  if (!items?.length) return found.failure ? html`<${Problem} of=${found.failure} />` : null;
  return html`<section class="card pad" aria-labelledby="orphans"><div class="top"><h2 id="orphans">${t("orphans")}</h2><div class="push"><button type="button" class="danger" disabled=${busy} onClick=${remove}>${t("orphans.delete")}</button></div></div>
    <p class="soft">${t("orphans.text")}</p><${Problem} of=${failure} close=${clear} />
    <dl class="facts">${items.map((one) => html`<dt><${When} at=${one.received_at} /></dt><dd>${endOf(one)} <span class="mono small soft">${one.command_id}</span>
      ${["stdout", "stderr"].map((stream) => (one[stream] ? html`<details class="output"><summary><h4>${stream}</h4></summary><pre tabindex="0">${readable(one[stream])}</pre></details>` : null))}</dd>`)}</dl>
    ${found.next ? html`<p><button type="button" onClick=${() => found.more()}>${t("more")}</button></p>` : null}</section>`;
}
