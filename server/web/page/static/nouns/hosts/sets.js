// Host sets: names for hosts. They are listed, made from a selector or as a list, changed and deleted.
import { api, query } from "../../lib/api.js";
import { plain } from "../../lib/format.js";
import { t } from "../../lib/i18n.js";
import { Field, html, Problem, refused, useAct, usePages, useState } from "../../lib/ui.js";

// In a draft, `text` is the selector, or what the list was made of; `was` is the set that it changes, as it was shown.
const EMPTY = { name: "", kind: "selector", text: "", description: "", was: null };
const KINDS = { selector: "sets.kind.selector", hosts: "sets.kind.list" };
const hostsOf = (set) => (set.selector === null ? t("sets.list", { n: set.hosts.length }) : plain(set.selector));

export function Part({ select, choose }) {
  const found = usePages((after, limit) => api(`/sets${query({ after, limit })}`), []);
  const [busy, run, failure, clear] = useAct();
  const [draft, setDraft] = useState(null);
  const put = (field) => (event) => setDraft({ ...draft, [field]: event.target.value });
  const begin = (set) => {
    clear();
    if (!set) return setDraft({ ...EMPTY, text: select });
    return run(async () => {
      // The names of a list are shown as the selector of its hosts, which is also accepted as a list.
      const text = set.selector ?? (await api("/hosts/select", { method: "POST", body: { targets: [`@${set.name}`], sample: 0, whole: true } })).folded;
      const shown = { name: set.name, kind: set.selector === null ? "hosts" : "selector", text, description: set.description };
      setDraft({ ...shown, was: shown });
    });
  };
  const save = (event) => {
    event.preventDefault();
    run(async () => {
      const { name, kind, text, description, was } = draft, body = { description };
      // What was not changed is not sent: a list keeps the ids of its hosts.
      if (!was || was.kind !== kind || was.text !== text) body[kind] = kind === "hosts" ? [text.trim()] : text.trim();
      await (was ? api(`/sets/${was.name}`, { method: "PATCH", body }) : api("/sets", { method: "POST", body: { ...body, name: name.trim().replace(/^@/, "") } }));
      setDraft(null);
      await found.reload();
    });
  };
  const remove = (set) => { if (confirm(t("sets.delete.sure", { name: set.name }))) run(async () => { await api(`/sets/${set.name}`, { method: "DELETE" }); await found.reload(); }); };
  const wrong = (field) => (refused(failure) && failure.field === field ? failure : null);
  const meaning = wrong("selector") || wrong("hosts");
  return html`<details class="card pad noun sets"><summary>${t("sets")}${found.items ? ` · ${found.items.length}${found.next ? "+" : ""}` : ""}</summary>
    <p class="soft">${t("sets.text")}</p><${Problem} of=${found.failure} /><${Problem} of=${wrong("name") || meaning ? null : failure} close=${clear} />
    ${found.items?.length ? html`<dl class="facts">${found.items.map((set) => html`<dt><a href=${`/hosts${query({ select: `@${set.name}` })}`} onClick=${(event) => { event.preventDefault(); choose(`@${set.name}`); }}>@${set.name}</a></dt>
      <dd><span class="mono">${hostsOf(set)}</span>${set.description ? html` <span class="soft">${plain(set.description)}</span>` : null}${set.used_by.length ? html` <span class="small soft">${t("sets.used", { names: set.used_by.map((name) => `@${name}`).join(", ") })}</span>` : null}
        <span class="small"><button type="button" class="plain" disabled=${busy} aria-label=${`${t("sets.change")} @${set.name}`} onClick=${() => begin(set)}>${t("sets.change")}</button><button type="button" class="plain" disabled=${busy} aria-label=${`${t("sets.delete")} @${set.name}`} onClick=${() => remove(set)}>${t("sets.delete")}</button></span></dd>`)}</dl>`
      : found.items ? html`<p>${t("sets.none")}</p>` : null}
    ${found.next ? html`<p><button type="button" onClick=${() => found.more()}>${t("more")}</button></p>` : null}
    ${draft === null ? html`<p><button type="button" onClick=${() => begin(null)}>${t("sets.new")}</button></p>`
      : html`<form onSubmit=${save}>
        <${Field} id="set-name" label=${t("sets.name")} soft=${t("sets.name.soft")} wrong=${wrong("name")}><input id="set-name" required readonly=${draft.was !== null} value=${draft.name} placeholder="web-eu" spellcheck=${false} autocapitalize="off" onInput=${put("name")} /><//>
        <${Field} id="set-kind" label=${t("sets.kind")} soft=${draft.kind === "hosts" ? t("sets.kind.list.soft") : t("sets.kind.selector.soft")}><select id="set-kind" value=${draft.kind} onChange=${put("kind")}>${Object.entries(KINDS).map(([kind, key]) => html`<option value=${kind} selected=${draft.kind === kind}>${t(key)}</option>`)}</select><//>
        <${Field} id="set-selector" label=${t("hosts.select")} soft=${t("hosts.select.soft")} wrong=${meaning}><input id="set-selector" required value=${draft.text} placeholder="web* and role=db" spellcheck=${false} autocapitalize="off" onInput=${put("text")} /><//>
        <${Field} id="set-description" label=${t("sets.description")}><input id="set-description" value=${draft.description} onInput=${put("description")} /><//>
        <p><button class="primary" disabled=${busy}>${t("sets.save")}</button> <button type="button" disabled=${busy} onClick=${() => { clear(); setDraft(null); }}>${t("sets.cancel")}</button></p></form>`}
  </details>`;
}
