// What can be done with a task: on all of its hosts, on those that were chosen, on those that did not succeed.
import { api, newKey } from "../lib/api.js";
import { quoted, ran } from "../lib/format.js";
import { number, t } from "../lib/i18n.js";
import { Copy, html, useAct } from "../lib/ui.js";

function cli(task) {
  const { command } = task, parts = ["clarion", "run", "--hosts", quoted(task.target_text), "--timeout", String(command.timeout_ms / 1000)];
  if (task.concurrency) parts.push("--concurrency", String(task.concurrency));
  if (task.if_offline === "wait") parts.push("--if-offline", "wait");
  for (const [name, value] of Object.entries(task.parameters)) parts.push("--param", quoted(`${name}=${value}`));
  if (command.script !== null) parts.push("--script", "SCRIPT");
  else if (command.argv) parts.push("--", ...command.argv.map(quoted));
  else parts.push("--shell", quoted(command.command));
  return parts.join(" ");
}

function curl(task) {
  const { command } = task, body = { targets: [task.target_text], timeout: command.timeout_ms / 1000 };
  for (const name of ["command", "argv", "script", "interpreter", "cwd", "run_as"]) if (command[name] !== null) body[name] = command[name];
  if (Object.keys(task.parameters).length) body.parameters = task.parameters;
  return `curl -H "Authorization: Bearer $(cat DATA/admin.token)" -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))} ${location.origin}/api/v1/run`;
}

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
    ${!final && chosen ? button(t("task.cancel.chosen", { n: number(chosen) }), post("/cancel", { hosts: ids }, t("task.cancel.chosen.sure", { n: number(chosen) })), "danger") : null}
    ${!final ? button(t("task.cancel"), post("/cancel", null, t("task.cancel.sure", { n: number(progress.total) })), "danger") : null}
    ${final && chosen ? button(t("task.rerun.chosen", { n: number(chosen) }), again({ hosts: ids }), "primary") : null}
    ${final && unsuccessful ? button(t("task.rerun.failed", { n: number(unsuccessful) }), again({ only: ["unsuccessful"] }), chosen ? "" : "primary") : null}
    ${final ? button(t("task.rerun"), again({ only: ["all"] })) : null}
    <${Copy} text=${() => cli(task)}>${t("copy.cli")}<//><${Copy} text=${() => curl(task)}>${t("copy.curl")}<//>
    ${progress.status !== "running" ? button(t("delete"), remove, "danger") : null}</div>`;
}

export const shown = (task) => ran(task.command);
