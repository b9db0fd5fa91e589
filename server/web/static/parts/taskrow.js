// A task in a list.
import { t } from "../lib/i18n.js";
import { html, When } from "../lib/ui.js";
import { TaskPill } from "./taskpill.js";

export const HEADS = () => [t("task"), t("tasks.status"), t("hosts"), t("tasks.created"), t("tasks.by")];
export const TaskRow = ({ task }) => html`<tr>
  <td class="wide"><a href=${`/tasks/${task.task_id}`}>${task.name}</a></td>
  <td class="tight"><${TaskPill} status=${task.status} /></td>
  <td class="number">${t("tasks.hosts", { done: task.completed_hosts, total: task.total_hosts })}${task.failed_hosts ? html`<span class="bad"> · ${t("tasks.not", { n: task.failed_hosts })}</span>` : null}</td>
  <td class="tight soft"><${When} at=${task.created_at} /></td>
  <td class="tight soft">${task.created_by}</td></tr>`;
