// A task's status, as a mark and a word.
import { t } from "../lib/i18n.js";
import { html, MARKS } from "../lib/ui.js";

export const TaskPill = ({ status }) => html`<span class=${`pill s-${status}`} data-status=${status}><span class="mark" aria-hidden="true">${MARKS[status]}</span>${t(`task.${status}`)}</span>`;
