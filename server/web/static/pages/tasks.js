// All tasks, with every filter, kept up to date.
import { api, query } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, Field, html, Loading, open, Table, TASK_STATES, useEffect, usePages, useRef, useState } from "../lib/ui.js";
import { HEADS, TaskRow } from "../parts/taskrow.js";

const start = Object.fromEntries(new URLSearchParams(location.search));

function Tasks() {
  const [filters, setFilters] = useState({ status: "", name: "", creator: "", type: "", created_from: "", created_before: "", ...start });
  const wanted = { ...filters, created_from: filters.created_from && String(Date.parse(filters.created_from)), created_before: filters.created_before && String(Date.parse(filters.created_before)) };
  const found = usePages((after) => api(`/tasks${query({ ...wanted, after, limit: 50 })}`), [JSON.stringify(filters)]);
  const now = useRef(null);
  now.current = { found, filtered: Object.values(filters).some(Boolean) };
  useEffect(() => watch({ topic: "tasks" }, { tasks: (news) => {
    const { found: list, filtered } = now.current;
    const known = new Set((list.items || []).map((task) => task.task_id)), newest = list.items?.[0]?.created_at ?? 0;
    if (!news.complete || (!filtered && news.rows.some((row) => !known.has(row.task_id) && row.created_at >= newest))) list.reload();
    else list.change((page) => ({ ...page, items: page.items?.filter((task) => !news.gone.includes(task.task_id)).map((task) => news.rows.find((row) => row.task_id === task.task_id) || task) }));
  } }, () => now.current.found.reload()), []);
  const set = (name) => (event) => {
    const next = { ...filters, [name]: event.target.value.trim() };
    history.replaceState(null, "", location.pathname + query(next));
    setFilters(next);
  };
  const input = (name, type, more) => html`<${Field} id=${name} label=${t(`tasks.${name}`)}><input id=${name} type=${type} value=${filters[name]} onChange=${set(name)} ...${more} /><//>`;
  return html`<div class="top"><h1>${t("title.tasks")}</h1></div>
    <form class="card filters" onSubmit=${(event) => event.preventDefault()} role="search">
      <${Field} id="status" label=${t("tasks.status")}><select id="status" onChange=${set("status")}>
        <option value="">${t("tasks.all")}</option>
        ${TASK_STATES.map((status) => html`<option value=${status} selected=${filters.status === status}>${t(`task.${status}`)}</option>`)}</select><//>
      ${input("name", "search", { placeholder: "deploy*" })} ${input("creator", "search")} ${input("type", "search")} ${input("created_from", "datetime-local")} ${input("created_before", "datetime-local")}
    </form>
    ${found.items === null ? html`<${Loading} />`
      : found.items.length ? html`<${Table} heads=${HEADS()} next=${found.next} more=${found.more}>${found.items.map((task) => html`<${TaskRow} key=${task.task_id} task=${task} />`)}<//>`
      : html`<${Empty} text=${t(found.failed ? "nothing.now" : now.current.filtered ? "tasks.none.filtered" : "tasks.none")}>
        ${found.failed ? html`<button type="button" onClick=${found.reload}>${t("again")}</button>` : html`<a class="button primary" href="/new">${t("nav.new")}</a>`}<//>`}`;
}

open(Tasks);
