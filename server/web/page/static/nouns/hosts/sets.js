// Host sets: names for hosts. They are listed, made from a selector, changed and deleted.
import { api, query } from "../../lib/api.js";
import { plain } from "../../lib/format.js";
import { t } from "../../lib/i18n.js";
import { Field, html, Problem, refused, useAct, usePages, useState } from "../../lib/ui.js";

const EMPTY = { name: "", selector: "", description: "" };
const hostsOf = (set) => (set.selector === null ? t("sets.list", { n: set.hosts.length }) : plain(set.selector));

export function Part({ select, choose }) {
  const found = usePages((after, limit) => api(`/sets${query({ after, limit })}`), []);
  const [busy, run, failure, clear] = useAct();
  const [draft, setDraft] = useState(null);
  const [old, setOld] = useState(null);
  const put = (field) => (event) => setDraft({ ...draft, [field]: event.target.value });
  const begin = (set) => { clear(); setOld(set); setDraft(set ? { name: set.name, selector: set.selector ?? "", description: set.description } : { ...EMPTY, selector: select }); };
  const save = (event) => {
    event.preventDefault();
    run(async () => {
      const { name, selector, description } = draft, body = { description, ...(selector.trim() ? { selector: selector.trim() } : {}) };
      await (old ? api(`/sets/${old.name}`, { method: "PATCH", body }) : api("/sets", { method: "POST", body: { ...body, name: name.trim().replace(/^@/, "") } }));
      setDraft(null);
      await found.reload();
    });
  };
  const remove = (set) => { if (confirm(t("sets.delete.sure", { name: set.name }))) run(async () => { await api(`/sets/${set.name}`, { method: "DELETE" }); await found.reload(); }); };
  const wrong = (field) => (refused(failure) && failure.field === field ? failure : null);
  return html`<details class="card pad noun sets"><summary>${t("sets")}${found.items ? ` · ${found.items.length}${found.next ? "+" : ""}` : ""}</summary>
    <p class="soft">${t("sets.text")}</p><${Problem} of=${found.failure} /><${Problem} of=${wrong("name") || wrong("selector") ? null : failure} close=${clear} />
    ${found.items?.length ? html`<dl class="facts">${found.items.map((set) => html`<dt><a href=${`/hosts${query({ select: `@${set.name}` })}`} onClick=${(event) => { event.preventDefault(); choose(`@${set.name}`); }}>@${set.name}</a></dt>
      <dd><span class="mono">${hostsOf(set)}</span>${set.description ? html` <span class="soft">${plain(set.description)}</span>` : null}${set.used_by.length ? html` <span class="small soft">${t("sets.used", { names: set.used_by.map((name) => `@${name}`).join(", ") })}</span>` : null}
        <span class="small"><button type="button" class="plain" disabled=${busy} aria-label=${`${t("sets.change")} @${set.name}`} onClick=${() => begin(set)}>${t("sets.change")}</button><button type="button" class="plain" disabled=${busy} aria-label=${`${t("sets.delete")} @${set.name}`} onClick=${() => remove(set)}>${t("sets.delete")}</button></span></dd>`)}</dl>`
      : found.items ? html`<p>${t("sets.none")}</p>` : null}
    ${found.next ? html`<p><button type="button" onClick=${() => found.more()}>${t("more")}</button></p>` : null}
    ${draft === null ? html`<p><button type="button" onClick=${() => begin(null)}>${t("sets.new")}</button></p>`
      : html`<form onSubmit=${save}>
        <${Field} id="set-name" label=${t("sets.name")} soft=${t("sets.name.soft")} wrong=${wrong("name")}><input id="set-name" required readonly=${old !== null} value=${draft.name} placeholder="web-eu" spellcheck=${false} autocapitalize="off" onInput=${put("name")} /><//>
        <${Field} id="set-selector" label=${t("hosts.select")} soft=${old && old.selector === null ? t("sets.keep") : t("hosts.select.soft")} wrong=${wrong("selector")}><input id="set-selector" required=${!old || old.selector !== null} value=${draft.selector} placeholder="web* and role=db" spellcheck=${false} autocapitalize="off" onInput=${put("selector")} /><//>
        <${Field} id="set-description" label=${t("sets.description")}><input id="set-description" value=${draft.description} onInput=${put("description")} /><//>
        <p><button class="primary" disabled=${busy}>${t("sets.save")}</button> <button type="button" disabled=${busy} onClick=${() => { clear(); setDraft(null); }}>${t("sets.cancel")}</button></p></form>`}
  </details>`;
}
