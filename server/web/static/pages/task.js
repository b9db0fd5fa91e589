// One task while it runs and after: counts, pace, every host as a cell, what they answered.
import { api } from "../lib/api.js";
import { readable, span } from "../lib/format.js";
import { number, t, word } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { calm, Empty, Fact, FINAL, html, Loading, MARKS, open, STATES, useEffect, useRef, useState, warn, When } from "../lib/ui.js";
import { Actions, shown } from "../parts/actions.js";
import { Answer } from "../parts/answer.js";
import { Groups } from "../parts/groups.js";
import { HostMap, stateOf } from "../parts/map.js";
import { HostList } from "../parts/hostlist.js";
import { useStates } from "../parts/states.js";
import { TaskPill } from "../parts/taskpill.js";

const path = `/tasks/${encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2]))}`;

function Counts({ progress, choose }) {
  const bar = [...FINAL, "running"].filter((one) => progress.counts[one]);
  return html`<div class="meter" role="progressbar" aria-label=${t("task.progress")} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(progress.percent)}>
      ${bar.map((one) => html`<i class=${`s-${one}`} style=${{ width: `${(100 * progress.counts[one]) / progress.total}%` }}></i>`)}</div>
    <ul class="counts">${STATES.filter((one) => progress.counts[one]).map((one) => html`<li><button type="button" class=${`pill link s-${one}`} data-count=${one} onClick=${() => choose(one)} title=${t("map.choose", { word: word(one) })}><span class="mark" aria-hidden="true">${MARKS[one]}</span>${word(one)} ${number(progress.counts[one])}</button></li>`)}</ul>`;
}

function pace(progress) {
  if (progress.status === "pending") return t("task.waits");
  if (!["running"].includes(progress.status)) return progress.elapsed_ms === null ? "" : t("task.took", { span: span(progress.elapsed_ms) });
  return [t("task.percent", { n: progress.percent, span: span(progress.elapsed_ms) }), progress.rate_per_s ? t("task.rate", { n: progress.rate_per_s }) : null,
    progress.eta_ms ? t("task.eta", { span: span(progress.eta_ms) }) : null, progress.slowest.length ? t("task.slowest", { names: progress.slowest.map((host) => host.hostname || host.host_id).join(", ") }) : null].filter(Boolean).join(" · ");
}

function Task() {
  const [task, setTask] = useState(null);
  const [gone, setGone] = useState(false);
  const [progress, setProgress] = useState(null);
  const [chosen, setChosen] = useState(new Set());
  const [hostId, setHostId] = useState(new URLSearchParams(location.search).get("host"));
  const [cells, takeStates, readStates] = useStates(path);
  const [groups, setGroups] = useState(null);
  const id = useRef(null);
  const lost = (failure) => (failure.status === 404 ? setGone(true) : warn(failure));
  // An answer that was asked for before the stream came may come after it.
  const take = (found) => setProgress((old) => (old && old.version > found.version ? old : found));
  // While there is no stream nothing is told, so all of it is asked for.
  const poll = () => { api(`${path}/progress`).then(take, lost); readStates(); setGroups(null); };
  useEffect(() => {
    let stop = () => {};
    Promise.all([api(path), api(`${path}/progress`)]).then(([found, now]) => {
      id.current = found.task_id;
      setTask(found);
      take(now);
      document.title = `${found.name} · Clarion`;
      calm();
      stop = watch({ task: found.task_id, topic: "states,groups" }, { task: take, states: takeStates, groups: setGroups }, poll);
    }, lost);
    return () => stop();
  }, []);
  if (gone) return html`<${Empty} text=${t("task.gone")}><a class="button" href="/tasks">${t("title.tasks")}</a><//>`;
  if (!task || !progress) return html`<${Loading} />`;
  const openHost = (wanted) => { setHostId(wanted); history.replaceState(null, "", `${location.pathname}?host=${wanted}`); };
  const toggle = (place) => setChosen((old) => { const next = new Set(old); if (!next.delete(place)) next.add(place); return next; });
  const choose = (state) => cells && setChosen(new Set([...cells.states.keys()].filter((place) => stateOf(cells.states[place]).status === state)));
  const limits = [t("task.limit.host", { span: span(task.command.timeout_ms) }), task.timeout_ms ? t("task.limit.all", { span: span(task.timeout_ms) }) : null, task.concurrency ? t("plan.concurrency", { n: task.concurrency }) : null].filter(Boolean).join(", ");
  return html`<div class="top"><h1>${task.name}</h1><${TaskPill} status=${progress.status} /><${Actions} task=${task} progress=${progress} path=${path} ids=${cells ? [...chosen].map(cells.idOf) : []} /></div>
    <div class="card pad"><${Counts} progress=${progress} choose=${choose} /><p class="soft small" role="status">${pace(progress)}</p>
      ${cells ? html`<${HostMap} names=${cells.names} states=${cells.states} version=${cells.version} chosen=${chosen} toggle=${toggle} openHost=${(place) => openHost(cells.idOf(place))} />` : html`<${Loading} />`}
      ${chosen.size ? html`<p class="small">${t("map.chosen", { n: chosen.size })} <button type="button" class="link" onClick=${() => setChosen(new Set())}>${t("map.unchoose")}</button></p>` : null}</div>
    ${hostId ? html`<${Answer} path=${path} hostId=${hostId} stamp=${progress.version} close=${() => { setHostId(null); history.replaceState(null, "", location.pathname); }} />` : null}
    <h2>${t("groups")}</h2><${Groups} path=${path} stamp=${progress.version} told=${groups} openHost=${openHost} />
    <${HostList} path=${path} progress=${progress} openHost=${openHost} />
    <h2>${t("task.what")}</h2>
    <div class="card pad"><pre aria-label=${t("new.command")} tabindex="0">${readable(shown(task))}</pre>
      <dl class="facts">${task.description ? html`<${Fact} name=${t("task.description")}>${task.description}<//>` : null}
        <${Fact} name=${t("hosts")}>${task.target_text.length > 300 ? `${task.target_text.slice(0, 300)}…` : task.target_text}<//><${Fact} name=${t("task.limits")}>${limits}<//>
        ${Object.keys(task.parameters).length ? html`<${Fact} name=${t("new.parameters")}>${Object.entries(task.parameters).map(([name, value]) => html`<div class="mono">${name}=${value}</div>`)}<//>` : null}
        ${task.command.run_as ? html`<${Fact} name=${t("new.run_as")}>${task.command.run_as}<//>` : null}
        <${Fact} name=${t("tasks.created")}><${When} at=${task.created_at} /> · ${task.created_by}<//>
        ${task.rerun_of ? html`<${Fact} name=${t("task.rerun_of")}><a href=${`/tasks/${task.rerun_of}`}>${task.rerun_of}</a><//>` : null}
        <${Fact} name=${t("task.id")}><span class="mono">${task.task_id}</span><//></dl></div>`;
}

open(Task);
