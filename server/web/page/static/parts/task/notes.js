// Facts of a report that change what there is to do, each in a sentence and with the way out.
import { noted, t } from "../../lib/i18n.js";
import { html } from "../../lib/ui.js";

// total: hosts of the group whose notes these are.
export const Notes = ({ of, total }) => (of || []).map((note) => {
  const { message, hint } = noted(note.code), where = total > 1 && note.hosts !== null ? ` (${t("select.count", { n: note.hosts })})` : note.count > 1 ? ` (${t("note.count", { n: note.count })})` : "";
  return html`<p class="note" data-note=${note.code}><span class="mark warn" aria-hidden="true">⚠</span> ${message}${where} <span class="soft">– ${hint}</span></p>`;
});
