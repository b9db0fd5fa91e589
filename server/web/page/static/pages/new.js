// A new task: command, hosts, options, and a plan before it runs. The input is kept until it is sent or its tab is
// closed.
import { api, newKey } from "../lib/api.js";
import { lines, list, pairs } from "../lib/parse.js";
import { t } from "../lib/i18n.js";
import { draft, saveDraft } from "../lib/keep.js";
import { watch } from "../lib/live.js";
import { Field, html, open, Problem, refused, useAgain, useEffect, useRef, useState } from "../lib/ui.js";
import { HostNames } from "../parts/complete.js";
import { Plan, Selection } from "../parts/selection.js";

const WHAT = ["command", "script", "argv"];
const BLANK = {
  what: "command", text: "", interpreter: "", args: "", targets: "all", name: "", description: "", type: "", timeout: "3600", grace: "", start_within: "", task_timeout: "", concurrency: "",
  cwd: "", run_as: "", umask: "", env: "", parameters: "", stdin: "", success_codes: "", max_output: "", leave_children: false,
  if_offline: "fail", wait_for: "3600", attempts: "1", codes: "", backoff: "", backoff_max: "", idempotent: false,
};
const MORE = Object.keys(BLANK).filter((name) => !["what", "text", "interpreter", "args", "targets", "name", "timeout"].includes(name));
const SHORT_MS = 200, FRESH_MS = 3000;
// Field of the API -> field of the form.
const OWN = { command: "text", script: "text", argv: "text", retry: "attempts", "retry.attempts": "attempts", "retry.codes": "codes", "retry.backoff": "backoff", "retry.backoff_max": "backoff_max", "retry.idempotent": "idempotent", stdin_base64: "stdin" };

function begin() {
  const wanted = new URLSearchParams(location.search).get("targets") ?? draft("targets");
  saveDraft("targets", null);
  const kept = { ...BLANK, ...draft("new") };
  return wanted === null ? kept : { ...kept, targets: wanted };
}

function body(form) {
  const made = { targets: [form.targets.trim()], timeout: Number(form.timeout), if_offline: form.if_offline };
  made[form.what] = form.what === "argv" ? lines(form.text) : form.text;
  if (form.what === "script" && form.interpreter.trim()) made.interpreter = form.interpreter.trim();
  if (form.what !== "argv" && form.args.trim()) made.args = lines(form.args);
  for (const name of ["name", "description", "type", "cwd", "run_as", "umask"]) if (form[name].trim()) made[name] = form[name].trim();
  for (const name of ["task_timeout", "concurrency", "grace", "start_within", "max_output"]) if (form[name] !== "") made[name] = Number(form[name]);
  for (const name of ["parameters", "env"]) if (form[name].trim()) made[name] = pairs(form[name]);
  if (form.stdin) made.stdin = form.stdin;
  if (form.success_codes.trim()) made.success_codes = list(form.success_codes).map((code) => (/^\d+$/.test(code) ? Number(code) : code));
  if (form.leave_children) made.leave_children = true;
  if (form.if_offline === "wait") made.wait_for = Number(form.wait_for);
  if (Number(form.attempts) > 1) {
    made.retry = { attempts: Number(form.attempts), idempotent: form.idempotent };
    if (form.codes.trim()) made.retry.codes = list(form.codes);
    for (const name of ["backoff", "backoff_max"]) if (form[name] !== "") made.retry[name] = Number(form[name]);
  }
  return made;
}

function New() {
  const [form, setForm] = useState(begin);
  const [found, setFound] = useState(null);
  const [wrongHosts, setWrongHosts] = useState(null);
  const [bad, setBad] = useState(null);
  const [plan, setPlan] = useState(null);
  const [busy, setBusy] = useState(false);
  const [fresh, setFresh] = useState(0);
  const key = useRef(draft("new.key") ?? { text: null, key: null }), turn = useRef(0), first = useRef(null), confirmIt = useRef(null);
  useEffect(() => first.current.focus(), []);
  useEffect(() => { if (plan) confirmIt.current?.focus(); }, [plan]);
  useEffect(() => { saveDraft("new", form); }, [form]);
  // Hosts connect and disconnect while the user types, so the number of online hosts is requested again, at a limited
  // rate.
  useEffect(() => {
    let changes = null, timer = null;
    const soon = () => { timer ??= setTimeout(() => { timer = null; setFresh((old) => old + 1); }, FRESH_MS); };
    const stop = watch({ topic: "hosts" }, { hosts: (data) => { if (changes !== null && changes !== data.changes) soon(); changes = data.changes; } }, soon);
    return () => { clearTimeout(timer); stop(); };
  }, []);
  useEffect(() => {
    const mine = ++turn.current;
    const timer = setTimeout(async () => {
      if (!form.targets.trim()) return setFound(null);
      try {
        const answer = await api("/hosts/select", { method: "POST", body: { targets: [form.targets.trim()], sample: 8 }, safe: true });
        if (mine === turn.current) { setFound({ ...answer, of: form.targets }); setWrongHosts(null); }
      } catch (failure) {
        if (mine !== turn.current) return;
        // A selector that the server refuses matches no hosts. If the server does not answer, nothing is known.
        if (refused(failure)) setFound(null);
        setWrongHosts(failure);
      }
    }, SHORT_MS);
    return () => clearTimeout(timer);
  }, [form.targets, fresh]);
  useAgain(wrongHosts, () => setFresh((old) => old + 1));
  const set = (name) => (event) => { setPlan(null); if (bad?.field === name || name === "what") setBad(null); setForm({ ...form, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value }); };
  const wrong = (name) => (bad?.field === name ? bad.failure : null);
  const about = (name) => ({ id: name, "aria-invalid": wrong(name) ? "true" : null, "aria-describedby": `${name}-wrong`, value: form[name], onInput: set(name), autocapitalize: "off", spellcheck: false });
  const input = (name, type = "text", more = {}) => html`<input type=${type} ...${about(name)} ...${more} />`;
  const area = (name, more = {}) => html`<textarea class="short" ...${about(name)} ...${more}></textarea>`;
  const field = (name, soft, control) => html`<${Field} id=${name} label=${t(`new.${name}`)} soft=${soft} wrong=${wrong(name)}>${control}<//>`;
  async function send(path) {
    const sent = body(form), text = path + JSON.stringify(sent);
    // A tab that is reloaded before the response arrived repeats the same request with the same key.
    if (key.current.text !== text) saveDraft("new.key", key.current = { text, key: newKey() });
    setBusy(true);
    setBad(null);
    try {
      const task = await api(path, { method: "POST", body: sent, headers: { "Idempotency-Key": key.current.key } });
      saveDraft("new", null);
      saveDraft("new.key", null);
      location.assign(`/tasks/${task.task_id}`);
    } catch (failure) {
      const said = (failure.field || "").replace(/\[.*/, ""), base = said.split(".")[0], own = OWN[said] ?? OWN[base] ?? (base in BLANK ? base : null);
      setBad({ field: own, failure });
      setPlan(null);
      requestAnimationFrame(() => { const where = own && document.getElementById(own); if (where) { where.closest("details")?.setAttribute("open", ""); where.focus(); where.scrollIntoView({ block: "center" }); } });
    }
    setBusy(false);
  }
  // A result for earlier targets does not show what would run now.
  const meant = found?.of === form.targets ? found : null, ready = plan && meant && !meant.refused;
  const look = (event) => { event.preventDefault(); setBad(null); setPlan(body(form)); };
  // Ctrl-Enter shows the plan; a second Ctrl-Enter runs it.
  const keys = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (busy) return;
    if (ready) send("/run"); else event.currentTarget.requestSubmit();
  };
  const begun = JSON.stringify(form) !== JSON.stringify(BLANK), more = MORE.some((name) => form[name] !== BLANK[name]);
  return html`<div class="top"><h1>${t("title.new")}</h1>${begun ? html`<div class="push"><button type="button" class="link" onClick=${() => { setPlan(null); setBad(null); setForm(BLANK); }}>${t("new.blank")}</button></div>` : null}</div>
  <form class="card pad new" onSubmit=${look} onKeyDown=${keys}>
    <fieldset class="choice"><legend>${t("new.what")}</legend>${WHAT.map((what) => html`<label><input type="radio" name="what" value=${what} checked=${form.what === what} onChange=${set("what")} /> ${t(`new.${what}`)}</label>`)}</fieldset>
    <${Field} id="text" label=${t(`new.${form.what}`)} soft=${t(`new.${form.what}.soft`)} wrong=${wrong("text")}><textarea ref=${first} required ...${about("text")} placeholder=${{ command: "uname -a", script: "#!/bin/sh\nset -e", argv: "uname\n-a" }[form.what]}></textarea><//>
    ${form.what === "script" ? field("interpreter", t("new.interpreter.soft"), input("interpreter", "text", { placeholder: "/bin/bash" })) : null}
    ${form.what === "argv" ? null : html`<details open=${form.args !== ""}><summary>${t("new.args")}</summary>${field("args", t("new.args.soft"), area("args"))}</details>`}
    <${Field} id="targets" label=${t("hosts")} soft=${t("hosts.select.soft")}>${html`<${HostNames} id="targets" value=${form.targets} set=${(value) => { setPlan(null); setForm((old) => ({ ...old, targets: value })); }} invalid=${wrong("targets") || wrongHosts} />`}<//>
    <div id="preview" role="status">${wrongHosts ? html`<${Problem} of=${wrongHosts} />` : found ? html`<${Selection} found=${found} />` : null}<${Problem} of=${wrong("targets")} /></div>
    <div class="row">${field("name", t("new.name.soft"), input("name", "text", { maxlength: 200 }))}${field("timeout", t("seconds"), input("timeout", "number", { min: 0.001, step: "any", required: true }))}</div>
    <details open=${more || MORE.includes(bad?.field)}><summary>${t("new.more")}</summary>
      <h3>${t("new.part.how")}</h3>
      <div class="row">${field("run_as", "", input("run_as", "text", { placeholder: "www-data" }))}${field("cwd", "", input("cwd", "text", { placeholder: "/" }))}${field("umask", t("new.umask.soft"), input("umask", "text", { placeholder: "022" }))}
        ${field("success_codes", t("new.success_codes.soft"), input("success_codes", "text", { placeholder: "0" }))}${field("max_output", t("new.max_output.soft"), input("max_output", "number", { min: 1 }))}</div>
      <div class="row">${field("parameters", t("new.parameters.soft"), area("parameters", { placeholder: "version=1.2.3" }))}${field("env", t("new.env.soft"), area("env", { placeholder: "LANG=C.UTF-8" }))}${field("stdin", t("new.stdin.soft"), area("stdin"))}</div>
      <label><input id="leave_children" type="checkbox" checked=${form.leave_children} onChange=${set("leave_children")} /> ${t("new.leave_children")}</label>
      <h3>${t("new.part.when")}</h3>
      <div class="row">${field("concurrency", t("new.concurrency.soft"), input("concurrency", "number", { min: 1 }))}${field("start_within", t("seconds"), input("start_within", "number", { min: 0.001, step: "any", placeholder: "60" }))}
        ${field("grace", t("new.grace.soft"), input("grace", "number", { min: 0, step: "any", placeholder: "5" }))}${field("task_timeout", t("seconds"), input("task_timeout", "number", { min: 0.001, step: "any" }))}
        <${Field} id="if_offline" label=${t("new.if_offline")} wrong=${wrong("if_offline")}><select id="if_offline" onChange=${set("if_offline")}>${["fail", "wait"].map((one) => html`<option value=${one} selected=${form.if_offline === one}>${t(`new.if_offline.${one}`)}</option>`)}</select><//>
        ${form.if_offline === "wait" ? field("wait_for", t("seconds"), input("wait_for", "number", { min: 0.001, step: "any" })) : null}</div>
      <h3>${t("new.part.retry")}</h3>
      <div class="row">${field("attempts", t("new.attempts.soft"), input("attempts", "number", { min: 1, max: 100 }))}
        ${Number(form.attempts) > 1 ? html`${field("codes", t("new.codes.soft"), input("codes", "text", { placeholder: "offline, busy" }))}${field("backoff", t("seconds"), input("backoff", "number", { min: 0, step: "any", placeholder: "1" }))}${field("backoff_max", t("seconds"), input("backoff_max", "number", { min: 0, step: "any", placeholder: "60" }))}` : null}</div>
      ${Number(form.attempts) > 1 ? html`<label><input id="idempotent" type="checkbox" checked=${form.idempotent} onChange=${set("idempotent")} /> ${t("new.idempotent")}</label>` : null}
      <h3>${t("new.part.about")}</h3>
      <div class="row">${field("description", "", area("description", { maxlength: 4000 }))}${field("type", t("new.type.soft"), input("type", "text", { placeholder: "command" }))}</div>
    </details>
    ${ready ? html`<${Plan} plan=${plan} found=${meant} />` : null}
    ${bad && !bad.field ? html`<${Problem} of=${bad.failure} close=${() => setBad(null)} />` : null}
    <div class="actions">${ready
      ? html`<button type="button" ref=${confirmIt} class="primary" disabled=${busy} onClick=${() => send("/run")}>${t("new.run")}</button><button type="button" disabled=${busy} onClick=${() => send("/tasks")}>${t("new.only")}</button><button type="button" onClick=${() => setPlan(null)}>${t("new.change")}</button>`
      : html`<button class="primary">${t("new.plan")}</button>`}<span class="small soft">${t("new.keys")}</span></div>
  </form>`;
}

open(New);
