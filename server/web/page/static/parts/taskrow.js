// The columns of a list of tasks.
import { plain, span } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { html, When } from "../lib/ui.js";
import { Meter, TaskPill } from "./taskpill.js";

const ended = (task) => task.completed_hosts + task.failed_hosts;
const percent = (task) => (task.total_hosts ? (100 * ended(task)) / task.total_hosts : 100);
const took = (task) => (task.started_at && task.finished_at ? task.finished_at - task.started_at : null);

export const TASK_COLUMNS = () => [
  { key: "name", head: t("task"), always: true, kind: "wide", value: (task) => task.name, cell: (task) => html`<a href=${`/tasks/${task.task_id}`}>${plain(task.name)}</a>` },
  { key: "status", head: t("tasks.status"), kind: "tight", value: (task) => task.status, cell: (task) => html`<${TaskPill} status=${task.status} counts=${task.counts} />` },
  { key: "progress", head: t("tasks.progress"), kind: "bar", value: percent, cell: (task) => html`<${Meter} counts=${task.counts} total=${task.total_hosts} percent=${percent(task)} label=${t("task.progress")} />` },
  { key: "hosts", head: t("hosts"), kind: "number", value: (task) => task.total_hosts, cell: (task) => html`${t("tasks.hosts", { done: task.completed_hosts, total: task.total_hosts })}${task.failed_hosts ? html`<span class="bad"> · ${t("tasks.not", { n: task.failed_hosts })}</span>` : null}` },
  { key: "created", head: t("tasks.created"), kind: "tight soft", value: (task) => new Date(task.created_at).toISOString(), cell: (task) => html`<${When} at=${task.created_at} />` },
  { key: "took", head: t("took"), kind: "number soft", value: took, cell: (task) => span(took(task)), off: true },
  { key: "by", head: t("tasks.by"), kind: "tight soft", value: (task) => task.created_by, cell: (task) => plain(task.created_by) },
  { key: "type", head: t("tasks.type"), kind: "tight soft", value: (task) => task.type, cell: (task) => task.type, off: true },
  { key: "task_id", head: t("task.id"), kind: "mono small", value: (task) => task.task_id, cell: (task) => task.task_id, off: true },
];
