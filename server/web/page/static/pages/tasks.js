// All tasks, with filters, updated live.
import { api, query } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, Field, html, Loading, open, Problem, refused, TASK_STATES, useAct, useEffect, usePages, useRef, useState } from "../lib/ui.js";
import { Chips, Rows } from "../parts/table.js";
import { TASK_COLUMNS } from "../parts/taskrow.js";

const BLANK = { name: "", command: "", host: "", status: "", creator: "", type: "", since: "", created_from: "", created_before: "" };
const start = Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => name in BLANK));
const WAIT = 1500;
const SPANS = ["1h", "24h", "7d"], TURNS = 20;
const FIELDS = ["name", "command", "host", "creator", "type", "created_from", "created_before"];

// Field of an error -> field of the form.
const fieldOf = ({ field, code }) => ({ until: "created_before", since: "created_from" })[field] ?? field ?? (code.startsWith("host_") ? "host" : null);

// The fields contain times in the user's time zone. A span such as "last hour" is recalculated for each request.
function asked(filters) {
  const at = (text) => text && (Number.isNaN(Date.parse(text)) ? text : String(Date.parse(text)));
  return { ...filters, created_from: at(filters.created_from), created_before: at(filters.created_before) };
}
// One request examines a limited number of tasks; further requests follow until there are rows to show.
async function load(filters, after, limit) {
  for (let turns = 0, from = after; ; turns++) {
    const page = await api(`/tasks${query({ ...asked(filters), after: from, limit })}`);
    if (page.items.length || !page.next || turns >= TURNS) return page;
    from = page.next;
  }
}

function Bulk({ rows, unchoose, reload }) {
  const [busy, run, failure, clear] = useAct();
  const stands = rows.filter((task) => ["pending", "running"].includes(task.status)), over = rows.filter((task) => task.status !== "running");
  const each = (some, sure, act) => () => { if (confirm(sure)) run(async () => { for (const task of some) await act(task); unchoose(); await reload(); }); };
  return html`${stands.length ? html`<button type="button" class="danger" disabled=${busy} onClick=${each(stands, t("tasks.cancel.sure", { n: stands.length }), (task) => api(`/tasks/${task.task_id}/cancel`, { method: "POST" }))}>${t("tasks.cancel", { n: stands.length })}</button>` : null}
    ${over.length ? html`<button type="button" class="danger" disabled=${busy} onClick=${each(over, t("tasks.delete.sure", { n: over.length }), (task) => api(`/tasks/${task.task_id}`, { method: "DELETE" }))}>${t("tasks.delete", { n: over.length })}</button>` : null}
    <${Problem} of=${failure} close=${clear} />`;
}

function Tasks() {
  const [filters, setFilters] = useState({ ...BLANK, ...start });
  const found = usePages((after, limit) => load(filters, after, limit), [JSON.stringify(filters)]);
  const now = useRef(null);
  const filtered = Object.values(filters).some(Boolean);
  now.current = { found, filtered };
  const soon = useRef({ timer: null, at: 0 });
  const reload = () => { const own = soon.current; own.timer ??= setTimeout(() => { own.timer = null; own.at = Date.now(); now.current.found.reload(); }, Math.max(0, own.at + WAIT - Date.now())); };
  useEffect(() => watch({ topic: "tasks" }, { tasks: (news) => {
    const { found: list, filtered: some } = now.current;
    if (list.failure) return;
    const known = new Set((list.items || []).map((task) => task.task_id)), newest = list.items?.[0]?.created_at ?? 0;
    if (!news.complete || some || news.rows.some((row) => !known.has(row.task_id) && row.created_at >= newest)) reload();
    else list.change((page) => ({ ...page, items: page.items?.filter((task) => !news.gone.includes(task.task_id)).map((task) => news.rows.find((row) => row.task_id === task.task_id) || task) }));
  } }, () => { if (!refused(now.current.found.failure)) now.current.found.reload(); }), []);
  const put = (next) => { history.replaceState(null, "", location.pathname + query(next)); setFilters(next); };
  const set = (name) => (event) => put({ ...filters, [name]: event.target.value.trim(), ...(name.startsWith("created_") ? { since: "" } : {}) });
  const wrong = (name) => (refused(found.failure) && fieldOf(found.failure) === name ? found.failure : null);
  const input = (name, type, more) => html`<${Field} id=${name} label=${t(`tasks.${name}`)} wrong=${wrong(name)}><input id=${name} type=${type} value=${filters[name]} onChange=${set(name)} aria-invalid=${wrong(name) ? "true" : null} aria-describedby=${`${name}-wrong`} ...${more} /><//>`;
  const spans = SPANS.map((since) => ({ text: t(`filters.${since}`), on: filters.since === since, set: () => put({ ...filters, since: filters.since === since ? "" : since, created_from: "", created_before: "" }) }));
  const states = ["running", "failed"].map((status) => ({ text: t(`task.${status}`), on: filters.status === status, set: () => put({ ...filters, status: filters.status === status ? "" : status }) }));
  const chips = [...FIELDS, "status"].filter((name) => filters[name] && !(name === "status" && ["running", "failed"].includes(filters.status))).map((name) => ({ key: name, text: `${t(`tasks.${name}`)}: ${name === "status" ? t(`task.${filters.status}`) : filters[name].replace("T", " ")}`, clear: () => put({ ...filters, [name]: "" }) }));
  const placed = [...FIELDS, "status"].some(wrong);
  return html`<div class="top"><h1>${t("title.tasks")}</h1></div>
    <form class="card filters" onSubmit=${(event) => event.preventDefault()} role="search">
      ${input("name", "search", { placeholder: "deploy*", "data-search": true })} ${input("command", "search", { placeholder: "apt*" })} ${input("host", "search", { placeholder: "web-1" })}
      <${Field} id="status" label=${t("tasks.status")} wrong=${wrong("status")}><select id="status" onChange=${set("status")}>
        <option value="">${t("tasks.all")}</option>
        ${TASK_STATES.map((status) => html`<option value=${status} selected=${filters.status === status}>${t(`task.${status}`)}</option>`)}</select><//>
      ${input("creator", "search")} ${input("type", "search")} ${input("created_from", "datetime-local")} ${input("created_before", "datetime-local")}
    </form>
    <${Chips} presets=${[...spans, ...states]} chips=${chips} clear=${() => put(BLANK)} />
    ${placed ? null : html`<${Problem} of=${found.failure} />`}
    ${found.items === null ? found.failure ? null : html`<${Loading} />`
      : found.items.length ? html`<div class="figures"><${Rows} name="tasks" label=${t("title.tasks")} columns=${TASK_COLUMNS()} found=${found} id=${(task) => task.task_id} bulk=${(rows, unchoose) => html`<${Bulk} rows=${rows} unchoose=${unchoose} reload=${found.reload} />`} /></div>`
      : found.failure ? html`<${Empty} text=${t(refused(found.failure) ? "filters.wrong" : "nothing.now")}><button type="button" onClick=${refused(found.failure) ? () => put(BLANK) : found.reload}>${t(refused(found.failure) ? "filters.clear" : "again")}</button><//>`
      : html`<${Empty} text=${t(filtered ? "tasks.none.filtered" : "tasks.none")}>
        ${filtered ? html`<button type="button" onClick=${() => put(BLANK)}>${t("filters.clear")}</button>` : html`<a class="button primary" href="/new">${t("nav.new")}</a>`}<//>`}`;
}

open(Tasks);
