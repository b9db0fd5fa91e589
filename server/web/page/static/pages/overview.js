// An overview of the hosts and of the running work.
import { api } from "../lib/api.js";
import { number, t, word } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Empty, html, Loading, MARKS, open, Problem, STATES, useAgain, useEffect, useState } from "../lib/ui.js";
import { HowToJoin } from "../parts/presence.js";
import { Rows } from "../parts/table.js";
import { TASK_COLUMNS } from "../parts/taskrow.js";
import { Finished, Pace } from "../parts/trends.js";

const RECENT = 500;

function merge(tasks, news) {
  const rows = new Map(tasks.map((task) => [task.task_id, task]));
  for (const row of news.rows) rows.set(row.task_id, row);
  for (const id of news.gone) rows.delete(id);
  return [...rows.values()].sort((a, b) => (a.task_id < b.task_id ? 1 : -1)).slice(0, RECENT);
}

const Tile = ({ href, value, text, mark, kind }) => html`<a class=${`card tile ${kind || ""}`} href=${href}><b>${value}</b><span>${mark ? html`<span class="mark" aria-hidden="true">${mark} </span>` : null}${text}</span></a>`;

function rate(tasks) {
  const ended = tasks.filter((task) => task.finished_at);
  const hosts = ended.reduce((sum, task) => sum + task.total_hosts, 0);
  return hosts ? `${number((100 * ended.reduce((sum, task) => sum + task.completed_hosts, 0)) / hosts, 1)} %` : "–";
}

function Overview() {
  const [figures, setFigures] = useState(null);
  const [tasks, setTasks] = useState(null);
  const [pace, setPace] = useState([]);
  const [wrong, setWrong] = useState(null);
  const show = (data) => {
    setFigures(data);
    setPace((old) => [...old.slice(-599), { at: Date.now() / 1000, connected: data.hosts.connected, busy: data.executions.running + data.executions.dispatched }]);
  };
  const read = () => Promise.all([api("/statistics").then(show), api(`/tasks?limit=${RECENT}`).then((page) => setTasks(page.items))]).then(() => setWrong(null), setWrong);
  useEffect(() => { read(); }, []);
  useAgain(wrong, read);
  useEffect(() => watch({ topic: "statistics,tasks" }, {
    statistics: show,
    tasks: (news) => (news.complete ? setTasks((old) => old && merge(old, news)) : read()),
  }, read), []);
  if (!figures || !tasks) return html`<h1>${t("title.overview")}</h1><${Problem} of=${wrong} /><${Loading} />`;
  const offline = figures.hosts.known - figures.hosts.connected;
  const running = tasks.filter((task) => task.status === "running"), shown = (running.length ? running : tasks).slice(0, 12);
  const list = { items: shown, next: null, all: async () => shown, change: () => {} };
  return html`<div class="top"><h1>${t("title.overview")}</h1></div>
    <div class="tiles figures">
      <${Tile} href="/hosts?connected=true" kind="s-completed" value=${number(figures.hosts.connected)} text=${t("overview.online", { n: figures.hosts.known })} />
      <${Tile} href="/hosts?connected=false" kind=${offline ? "s-dispatch_failed" : ""} value=${number(offline)} text=${t("overview.offline", { n: offline })} />
      <${Tile} href="/tasks?status=running" kind="s-running" value=${number(figures.tasks.running)} text=${t("overview.running", { n: figures.tasks.running })} />
      <${Tile} href="/tasks?status=pending" value=${number(figures.tasks.pending)} text=${t("overview.pending", { n: figures.tasks.pending })} />
      <${Tile} href="/tasks" value=${rate(tasks)} text=${t("overview.rate", { n: tasks.filter((task) => task.finished_at).length })} />
    </div>
    <section class="card pad figures"><h2>${t("overview.executions")}</h2>
      <ul class="counts">${STATES.map((state) => html`<li><span class=${`pill s-${state}`}><span class="mark" aria-hidden="true">${MARKS[state]}</span>${word(state)}</span> ${number(figures.executions[state])}</li>`)}</ul></section>
    <div class="two"><section class="card pad figures"><h2>${t("overview.finished")}</h2><${Finished} tasks=${tasks} /></section>
      <section class="card pad figures"><h2>${t("overview.pace")}</h2><${Pace} points=${pace} /></section></div>
    <div class="top"><h2>${t(running.length ? "overview.now" : "overview.recent")}</h2><a class="push" href="/tasks">${t("overview.all")}</a></div>
    ${tasks.length ? html`<${Rows} name="overview" label=${t(running.length ? "overview.now" : "overview.recent")} columns=${TASK_COLUMNS()} found=${list} id=${(task) => task.task_id} />`
      : figures.hosts.known ? html`<${Empty} text=${t("tasks.none")}><a class="button primary" href="/new">${t("nav.new")}</a><//>`
      : html`<${Empty} text=${t("hosts.none")}><${HowToJoin} /><//>`}`;
}

open(Overview);
