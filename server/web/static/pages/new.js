// A new task: what, where, how; a plan before it runs.
import { api, newKey } from "../lib/api.js";
import { sentence, t } from "../lib/i18n.js";
import { calm, Field, html, open, useEffect, useRef, useState, warn } from "../lib/ui.js";
import { Plan, Selection } from "../parts/selection.js";

const BLANK = { what: "command", text: "", interpreter: "", targets: new URLSearchParams(location.search).get("targets") || "all", name: "", timeout: "3600", task_timeout: "", concurrency: "", cwd: "", run_as: "", parameters: "", if_offline: "fail", wait_for: "3600", attempts: "1", idempotent: false };

// K=V lines -> an object; a line without = names itself.
const pairs = (text) => Object.fromEntries(text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => [line.split("=")[0], line.split("=").slice(1).join("=")]));

function body(form) {
  const made = { targets: [form.targets.trim()], [form.what]: form.text, timeout: Number(form.timeout), if_offline: form.if_offline };
  if (form.what === "script" && form.interpreter.trim()) made.interpreter = form.interpreter.trim();
  for (const name of ["name", "cwd", "run_as"]) if (form[name].trim()) made[name] = form[name].trim();
  for (const name of ["task_timeout", "concurrency"]) if (form[name]) made[name] = Number(form[name]);
  if (form.parameters.trim()) made.parameters = pairs(form.parameters);
  if (form.if_offline === "wait") made.wait_for = Number(form.wait_for);
  if (Number(form.attempts) > 1) made.retry = { attempts: Number(form.attempts), idempotent: form.idempotent };
  return made;
}

function New() {
  const [form, setForm] = useState(BLANK);
  const [found, setFound] = useState(null);
  const [bad, setBad] = useState(null);
  const [plan, setPlan] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef({ text: null, key: null }), turn = useRef(0), first = useRef(null), confirmIt = useRef(null);
  useEffect(() => first.current.focus(), []);
  useEffect(() => { if (plan) confirmIt.current?.focus(); }, [plan]);
  useEffect(() => {
    const mine = ++turn.current;
    const timer = setTimeout(async () => {
      if (!form.targets.trim()) return setFound(null);
      try {
        const answer = await api("/hosts/select", { method: "POST", body: { targets: [form.targets.trim()], sample: 8 } });
        if (mine === turn.current) { setFound({ ...answer, of: form.targets }); setBad(null); }
      } catch (failure) {
        if (mine === turn.current) { setFound(null); setBad({ field: "targets", text: sentence(failure) }); }
      }
    }, 200);
    return () => clearTimeout(timer);
  }, [form.targets]);
  const set = (name) => (event) => { setPlan(null); setForm({ ...form, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value }); };
  const wrong = (name) => (bad?.field === name ? "true" : null);
  const input = (name, type = "text", more = {}) => html`<input id=${name} type=${type} value=${form[name]} onInput=${set(name)} aria-invalid=${wrong(name)} autocapitalize="off" spellcheck=${false} ...${more} />`;
  async function send(path) {
    const sent = body(form), text = path + JSON.stringify(sent);
    if (key.current.text !== text) key.current = { text, key: newKey() };
    setBusy(true);
    try {
      const task = await api(path, { method: "POST", body: sent, headers: { "Idempotency-Key": key.current.key } });
      location.assign(`/tasks/${task.task_id}`);
    } catch (failure) {
      const field = (failure.field || "").split(/[.[]/)[0];
      setBad({ field: ["command", "script"].includes(field) ? "text" : field, text: sentence(failure) });
      setPlan(null);
      warn(failure);
      document.getElementById(["command", "script"].includes(field) ? "text" : field)?.focus();
    }
    setBusy(false);
  }
  // What was found for other targets, before they were changed, is not what would run.
  const meant = found?.of === form.targets ? found : null;
  const look = (event) => { event.preventDefault(); calm(); setPlan(body(form)); };
  return html`<div class="top"><h1>${t("title.new")}</h1></div>
  <form class="card pad" onSubmit=${look}>
    <fieldset class="choice"><legend>${t("new.what")}</legend>${["command", "script"].map((what) => html`<label><input type="radio" name="what" value=${what} checked=${form.what === what} onChange=${set("what")} /> ${t(`new.${what}`)}</label>`)}</fieldset>
    <${Field} id="text" label=${t(`new.${form.what}`)} soft=${t(`new.${form.what}.soft`)}><textarea id="text" ref=${first} required value=${form.text} onInput=${set("text")} aria-invalid=${wrong("text")} placeholder=${form.what === "script" ? "#!/bin/sh\nset -e" : "uname -a"} spellcheck=${false} autocapitalize="off"></textarea><//>
    ${form.what === "script" ? html`<${Field} id="interpreter" label=${t("new.interpreter")} soft=${t("new.interpreter.soft")}>${input("interpreter", "text", { placeholder: "/bin/bash" })}<//>` : null}
    <${Field} id="targets" label=${t("hosts")} soft=${t("hosts.select.soft")}>${input("targets", "text", { required: true, placeholder: "web[01-12] and not role=db", "aria-describedby": "preview" })}<//>
    <div id="preview" role="status">${bad?.field === "targets" ? html`<p class="bad small">${bad.text}</p>` : found ? html`<${Selection} found=${found} />` : null}</div>
    <div class="row"><${Field} id="name" label=${t("new.name")} soft=${t("new.name.soft")}>${input("name", "text", { maxlength: 200 })}<//>
      <${Field} id="timeout" label=${t("new.timeout")} soft=${t("seconds")}>${input("timeout", "number", { min: 1, step: "any", required: true })}<//></div>
    <details><summary>${t("new.more")}</summary>
      <div class="row"><${Field} id="task_timeout" label=${t("new.task_timeout")} soft=${t("seconds")}>${input("task_timeout", "number", { min: 1, step: "any" })}<//>
        <${Field} id="concurrency" label=${t("new.concurrency")} soft=${t("new.concurrency.soft")}>${input("concurrency", "number", { min: 1 })}<//>
        <${Field} id="cwd" label=${t("new.cwd")}>${input("cwd", "text", { placeholder: "/" })}<//>
        <${Field} id="run_as" label=${t("new.run_as")}>${input("run_as")}<//>
        <${Field} id="if_offline" label=${t("new.if_offline")}><select id="if_offline" onChange=${set("if_offline")}>${["fail", "wait"].map((one) => html`<option value=${one} selected=${form.if_offline === one}>${t(`new.if_offline.${one}`)}</option>`)}</select><//>
        ${form.if_offline === "wait" ? html`<${Field} id="wait_for" label=${t("new.wait_for")} soft=${t("seconds")}>${input("wait_for", "number", { min: 1, step: "any" })}<//>` : null}
        <${Field} id="attempts" label=${t("new.attempts")} soft=${t("new.attempts.soft")}>${input("attempts", "number", { min: 1, max: 100 })}<//></div>
      ${Number(form.attempts) > 1 ? html`<label><input type="checkbox" checked=${form.idempotent} onChange=${set("idempotent")} /> ${t("new.idempotent")}</label>` : null}
      <${Field} id="parameters" label=${t("new.parameters")} soft=${t("new.parameters.soft")}><textarea id="parameters" class="short" value=${form.parameters} onInput=${set("parameters")} aria-invalid=${wrong("parameters")} placeholder="version=1.2.3" spellcheck=${false}></textarea><//>
    </details>
    ${plan && meant ? html`<${Plan} plan=${plan} found=${meant} />` : null}
    <div class="actions">${plan && meant && !meant.refused
      ? html`<button type="button" ref=${confirmIt} class="primary" disabled=${busy} onClick=${() => send("/run")}>${t("new.run")}</button><button type="button" disabled=${busy} onClick=${() => send("/tasks")}>${t("new.only")}</button><button type="button" onClick=${() => setPlan(null)}>${t("new.change")}</button>`
      : html`<button class="primary">${t("new.plan")}</button>`}</div>
  </form>`;
}

open(New);
