// The actions of a task: on all hosts, on the selected hosts, or on those that did not succeed. Only actions that have
// an effect are offered.
import { api, newKey } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { Copy, html, OPEN, Problem, useAct, useRef } from "../../lib/ui.js";
import { cli, curl } from "../copies.js";
import { stateOf } from "./map.js";
import { runOn, targetsOf } from "../run_on.js";

const stands = (cells, place) => OPEN.includes(stateOf(cells.states[place]).status);

export function Actions({ task, progress, path, cells, chosen, changed }) {
  const [busy, run, failure, clear] = useAct();
  const final = !["pending", "running"].includes(progress.status), places = cells ? [...chosen] : [];
  const open = places.filter((place) => stands(cells, place)), ids = (some) => some.map(cells.idOf), canceling = Boolean(progress.cancel_requested_at ?? task.cancel_requested_at);
  const offline = cells && canceling && !final ? [...cells.names.keys()].filter((place) => stateOf(cells.states[place]).unreachable && stands(cells, place)).length : 0;
  const post = (where, body, sure) => () => { if (!sure || confirm(sure)) run(async () => changed(await api(path + where, { method: "POST", ...(body ? { body } : {}) }))); };
  // Until the response arrives, every press of the button sends the same request with the same key.
  const keys = useRef(new Map());
  const again = (body) => () => run(async () => {
    const what = JSON.stringify(body);
    if (!keys.current.has(what)) keys.current.set(what, newKey());
    const made = await api(`${path}/rerun`, { method: "POST", body, headers: { "Idempotency-Key": keys.current.get(what) } });
    keys.current.delete(what);
    location.assign(`/tasks/${made.task_id}`);
  });
  const remove = () => { if (confirm(t("task.delete.sure"))) run(async () => { await api(path, { method: "DELETE" }); location.assign("/tasks"); }); };
  const button = (text, act, kind = "") => html`<button type="button" class=${kind} disabled=${busy} onClick=${act}>${text}</button>`;
  const unsuccessful = progress.total - progress.completed, left = progress.total - progress.completed - progress.failed;
  return html`<div class="push actions-bar">
    ${progress.status === "pending" ? button(t("task.start"), post("/start"), "primary") : null}
    ${!final && open.length ? button(t("task.cancel.chosen", { n: open.length }), post("/cancel", { hosts: ids(open) }, t("task.cancel.chosen.sure", { n: open.length })), "danger") : null}
    ${!final && !canceling ? button(t("task.cancel"), post("/cancel", null, t("task.cancel.sure", { n: left })), "danger") : null}
    ${!final && canceling && offline ? button(t("task.force", { n: offline }), post("/cancel", { force: true }, t("task.force.sure", { n: offline })), "danger") : null}
    ${final && places.length ? button(t("task.rerun.chosen", { n: places.length }), again({ hosts: ids(places) }), "primary") : null}
    ${places.length ? button(t("table.run", { n: places.length }), () => runOn(targetsOf(places.map((place) => ({ host_id: cells.idOf(place), hostname: cells.names[place] })), cells.names))) : null}
    ${final && unsuccessful ? button(t("task.rerun.failed", { n: unsuccessful }), again({ only: ["unsuccessful"] }), places.length ? "" : "primary") : null}
    ${final ? button(t("task.rerun"), again({ only: ["all"] })) : null}
    <${Copy} text=${() => cli(task)}>${t("copy.cli")}<//><${Copy} text=${() => curl(task)}>${t("copy.curl")}<//>
    ${progress.status !== "running" ? button(t("delete"), remove, "danger") : null}</div>
    ${!final && canceling ? html`<p class="wide small warn" role="status">${t("task.canceling", { n: left })}${offline ? ` ${t("task.canceling.offline", { n: offline })}` : ""}</p>` : null}
    ${!final && places.length > open.length ? html`<p class="wide small soft" role="status">${t(open.length ? "task.chosen.ended" : "task.chosen.ended.all", { n: places.length - open.length })}</p>` : null}
    ${failure ? html`<div class="wide"><${Problem} of=${failure} close=${clear} /></div>` : null}`;
}
