// What can be done with a task: on all of its hosts, on those that were chosen, on those that did not succeed.
import { api, newKey } from "../lib/api.js";
import { ran } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { Copy, html, useAct } from "../lib/ui.js";
import { cli, curl } from "./copies.js";

export function Actions({ task, progress, path, ids }) {
  const [busy, run] = useAct();
  const final = !["pending", "running"].includes(progress.status), chosen = ids.length;
  const post = (where, body, sure) => () => { if (!sure || confirm(sure)) run(() => api(path + where, { method: "POST", ...(body ? { body } : {}) })); };
  const again = (body) => () => run(async () => {
    const made = await api(`${path}/rerun`, { method: "POST", body, headers: { "Idempotency-Key": newKey() } });
    location.assign(`/tasks/${made.task_id}`);
  });
  const remove = () => { if (confirm(t("task.delete.sure"))) run(async () => { await api(path, { method: "DELETE" }); location.assign("/tasks"); }); };
  const button = (text, act, kind = "") => html`<button type="button" class=${kind} disabled=${busy} onClick=${act}>${text}</button>`;
  const unsuccessful = progress.total - progress.completed;
  return html`<div class="push">
    ${progress.status === "pending" ? button(t("task.start"), post("/start"), "primary") : null}
    ${!final && chosen ? button(t("task.cancel.chosen", { n: chosen }), post("/cancel", { hosts: ids }, t("task.cancel.chosen.sure", { n: chosen })), "danger") : null}
    ${!final ? button(t("task.cancel"), post("/cancel", null, t("task.cancel.sure", { n: progress.total - progress.completed - progress.failed })), "danger") : null}
    ${final && chosen ? button(t("task.rerun.chosen", { n: chosen }), again({ hosts: ids }), "primary") : null}
    ${final && unsuccessful ? button(t("task.rerun.failed", { n: unsuccessful }), again({ only: ["unsuccessful"] }), chosen ? "" : "primary") : null}
    ${final ? button(t("task.rerun"), again({ only: ["all"] })) : null}
    <${Copy} text=${() => cli(task)}>${t("copy.cli")}<//><${Copy} text=${() => curl(task)}>${t("copy.curl")}<//>
    ${progress.status !== "running" ? button(t("delete"), remove, "danger") : null}</div>`;
}

export const shown = (task) => ran(task.command);
