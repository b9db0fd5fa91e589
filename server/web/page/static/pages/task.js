// One task, while it runs and afterwards: command, targets, creator, counts, rate, every host, and the results.
import { api } from "../lib/api.js";
import { plain, ran, readable, span } from "../lib/format.js";
import { number, t, word } from "../lib/i18n.js";
import { watch } from "../lib/live.js";
import { Copy, Empty, Fact, html, Loading, MARKS, open, Problem, STATES, useEffect, useRef, useState, When } from "../lib/ui.js";
import { Actions } from "../parts/task/actions.js";
import { Answer } from "../parts/task/answer.js";
import { Groups } from "../parts/task/groups.js";
import { HostList } from "../parts/task/hostlist.js";
import { Hosts } from "../parts/hosts.js";
import { stateOf } from "../parts/task/map.js";
import { useStates } from "../parts/task/states.js";
import { Meter, TaskPill } from "../parts/taskpill.js";

const path = `/tasks/${encodeURIComponent(decodeURIComponent(location.pathname.split("/")[2]))}`;
const NAMES = 12, TEXT = 300, LINES = 6;

const Counts = ({ progress, choose }) => html`<${Meter} counts=${progress.counts} total=${progress.total} percent=${progress.percent} label=${t("task.progress")} />
  <ul class="counts">${STATES.filter((one) => progress.counts[one]).map((one) => html`<li><button type="button" class=${`pill link s-${one}`} data-count=${one} onClick=${() => choose(one)} title=${t("map.choose", { word: word(one) })}><span class="mark" aria-hidden="true">${MARKS[one]}</span>${word(one)} ${number(progress.counts[one])}</button></li>`)}</ul>`;

function pace(progress) {
  if (progress.status === "pending") return t("task.waits");
  const ended = t("task.ended", { n: progress.completed + progress.failed, total: progress.total });
  if (progress.status !== "running") return [ended, progress.elapsed_ms === null ? "" : t("task.took", { span: span(progress.elapsed_ms) })].filter(Boolean).join(" · ");
  return [ended, t("task.percent", { n: progress.percent, span: span(progress.elapsed_ms) }), progress.rate_per_s ? t("task.rate", { n: progress.rate_per_s }) : null,
    progress.eta_ms ? t("task.eta", { span: span(progress.eta_ms) }) : null, progress.slowest.length ? t("task.slowest", { names: progress.slowest.map((host) => plain(host.hostname || host.host_id)).join(", ") }) : null].filter(Boolean).join(" · ");
}

// The names of the hosts if they are few, otherwise the selector. A task that repeats another one covers some of that
// task's hosts.
function Where({ task, cells }) {
  const text = task.target_text.length > TEXT ? `${task.target_text.slice(0, TEXT)}…` : task.target_text;
  const names = cells && cells.names.length <= NAMES ? cells.names.map(plain).join(", ") : null;
  const sets = Object.entries(task.sets).map(([name, version]) => t("sets.version", { name, version })).join(", ");
  return html`<b>${t("select.count", { n: task.total_hosts })}</b>${names ? html`: <span class="mono">${names}</span>` : null}
    ${task.rerun_of ? html` <span class="soft">${t("task.of")} <a href=${`/tasks/${task.rerun_of}`}>${t("task.earlier")}</a> (${plain(text)})</span>` : names === text ? null : html` <span class="soft">${t("task.asked")} <span class="mono">${plain(text)}</span></span>`}${sets ? html` <span class="small soft">(${sets})</span>` : null}`;
}

function What({ task, cells }) {
  const text = readable(ran(task.command)), lines = text.split("\n"), long = lines.length > LINES, { command } = task;
  const limits = [t("task.limit.host", { span: span(command.timeout_ms) }), task.timeout_ms ? t("task.limit.all", { span: span(task.timeout_ms) }) : null, task.concurrency ? t("plan.concurrency", { n: task.concurrency }) : null,
    task.if_offline === "wait" ? t("task.limit.wait", { span: span(task.wait_for_ms) }) : null, task.retry && task.retry.attempts > 1 ? t("plan.retry", { n: task.retry.attempts }) : null].filter(Boolean).join(", ");
  const pairs = (values) => Object.entries(values).map(([name, value]) => html`<div class="mono">${name}=${plain(value)}</div>`);
  return html`<section class="card pad what" aria-label=${t("task.what")}>
    <div class="command"><pre aria-label=${t("new.command")} tabindex="0">${long ? `${lines.slice(0, LINES).join("\n")}\n` : text}${long ? html`<span class="soft">${t("task.lines", { n: lines.length - LINES })}</span>` : null}</pre><${Copy} text=${() => ran(command)}>${t("copy")}<//></div>
    ${long ? html`<details><summary>${t("task.whole")}</summary><pre tabindex="0">${text}</pre></details>` : null}
    <dl class="facts"><${Fact} name=${t("hosts")}><${Where} task=${task} cells=${cells} /><//>
      <${Fact} name=${t("task.who")}>${plain(task.created_by)} · <${When} at=${task.created_at} />${command.run_as ? html` · ${t("task.as", { user: command.run_as })}` : null}<//>
      ${task.description ? html`<${Fact} name=${t("task.description")}>${plain(task.description)}<//>` : null}</dl>
    <details class="rest"><summary>${t("task.more")}</summary><dl class="facts"><${Fact} name=${t("task.limits")}>${limits}<//>
        ${Object.keys(task.parameters).length ? html`<${Fact} name=${t("new.parameters")}>${pairs(task.parameters)}<//>` : null}
        ${Object.keys(command.env).length ? html`<${Fact} name=${t("new.env")}>${pairs(command.env)}<//>` : null}
        ${command.args.length ? html`<${Fact} name=${t("new.args")}><span class="mono">${command.args.map(plain).join(" ")}</span><//>` : null}
        ${command.interpreter ? html`<${Fact} name=${t("new.interpreter")}><span class="mono">${plain(command.interpreter)}</span><//>` : null}
        ${command.cwd ? html`<${Fact} name=${t("new.cwd")}><span class="mono">${plain(command.cwd)}</span><//>` : null}
        ${command.umask ? html`<${Fact} name=${t("new.umask")}>${command.umask}<//>` : null}
        ${command.success_codes.join() === "0" ? null : html`<${Fact} name=${t("new.success_codes")}>${command.success_codes.join(", ")}<//>`}
        <${Fact} name=${t("tasks.type")}>${task.type}<//><${Fact} name=${t("task.id")}><span class="mono">${task.task_id}</span><//></dl></details></section>`;
}

function Task() {
  const [task, setTask] = useState(null);
  const [gone, setGone] = useState(false);
  const [wrong, setWrong] = useState(null);
  const [progress, setProgress] = useState(null);
  const [chosen, setChosen] = useState(new Set());
  const [hostId, setHostId] = useState(new URLSearchParams(location.search).get("host"));
  const [cells, takeStates, readStates, noStates] = useStates(path);
  const [groups, setGroups] = useState(null);
  const panel = useRef(null);
  const lost = (failure) => (failure.status === 404 ? setGone(true) : setWrong(failure));
  // A response that was requested before the stream opened may arrive after it.
  const take = (found) => setProgress((old) => (old && old.version > found.version ? old : found));
  // Without a stream everything is requested. If that fails, the banner says so.
  const poll = () => { api(`${path}/progress`).then(take, (failure) => failure.status === 404 && setGone(true)); readStates(); setGroups(null); };
  useEffect(() => {
    let stop = () => {}, timer = null, over = false;
    const begin = () => Promise.all([api(path), api(`${path}/progress`)]).then(([found, now]) => {
      if (over) return;
      setWrong(null);
      setTask(found);
      take(now);
      document.title = `${plain(found.name)} · Clarion`;
      stop = watch({ task: found.task_id, topic: "states,groups" }, { task: take, states: takeStates, groups: setGroups }, poll);
    }, (failure) => { lost(failure); if (failure.status !== 404 && !over) timer = setTimeout(begin, 3000); });
    begin();
    return () => { over = true; clearTimeout(timer); stop(); };
  }, []);
  if (gone) return html`<div class="top"><h1>${t("title.task")}</h1></div><${Empty} text=${t("task.gone")}><a class="button" href="/tasks">${t("title.tasks")}</a><//>`;
  if (!task || !progress) return html`<${Problem} of=${wrong} /><${Loading} />`;
  const openHost = (wanted) => {
    setHostId(wanted);
    history.replaceState(null, "", `${location.pathname}?host=${wanted}`);
    // The panel may be far from the place of the click.
    requestAnimationFrame(() => { const box = panel.current?.getBoundingClientRect(); if (box && (box.top < 0 || box.top > innerHeight - 120)) panel.current.scrollIntoView({ block: "start" }); });
  };
  const choose = (state) => cells && setChosen(new Set([...cells.states.keys()].filter((place) => stateOf(cells.states[place]).status === state)));
  const chooseIds = (ids) => cells && setChosen(new Set(ids.map(cells.placeOf).filter((place) => place !== undefined)));
  return html`<div class="top"><h1>${plain(task.name)}</h1><${TaskPill} status=${progress.status} counts=${progress.counts} /><${Actions} task=${task} progress=${progress} path=${path} cells=${cells} chosen=${chosen} changed=${setTask} /></div>
    <${What} task=${task} cells=${cells} />
    <div class="split"><div><section class="card pad" id="task-hosts" aria-label=${t("hosts")}><div class="figures"><${Counts} progress=${progress} choose=${choose} /><p class="soft small" role="status">${pace(progress)}</p></div>
      ${cells ? html`<${Hosts} cells=${cells} chosen=${chosen} choose=${setChosen} openHost=${(place) => openHost(cells.idOf(place))} />` : noStates ? html`<${Problem} of=${noStates} />` : html`<${Loading} />`}
      ${chosen.size ? html`<p class="small chosen-sum"><b>${t("map.chosen", { n: chosen.size })}</b> <button type="button" class="link" onClick=${() => setChosen(new Set())}>${t("map.unchoose")}</button></p>` : null}</section>
      <div ref=${panel}>${hostId ? html`<${Answer} path=${path} hostId=${hostId} stamp=${progress.version} close=${() => { setHostId(null); history.replaceState(null, "", location.pathname); }} />` : null}</div>
      <${HostList} path=${path} progress=${progress} openHost=${openHost} choose=${chooseIds} /></div>
    <div><${Groups} path=${path} stamp=${progress.version} told=${groups} ended=${progress.completed + progress.failed} openHost=${openHost} name=${task.name} /></div></div>`;
}

open(Task);
