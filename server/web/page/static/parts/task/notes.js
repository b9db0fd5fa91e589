// Notes: facts of a report that need attention, each with a sentence and a remedy.
import { noted, t } from "../../lib/i18n.js";
import { html } from "../../lib/ui.js";

// total: number of hosts in the group that has these notes.
export const Notes = ({ of, total }) => (of || []).map((note) => {
  const { message, hint } = noted(note.code), where = total > 1 && note.hosts !== null ? ` (${t("select.count", { n: note.hosts })})` : note.count > 1 ? ` (${t("note.count", { n: note.count })})` : "";
  return html`<p class="note" data-note=${note.code}><span class="mark warn" aria-hidden="true">⚠</span> ${message}${where} <span class="soft">– ${hint}</span></p>`;
});
