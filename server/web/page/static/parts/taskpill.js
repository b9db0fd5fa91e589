// A task's status as a mark and a word, and the progress of its hosts as a bar.
import { number, t, word } from "../lib/i18n.js";
import { FINAL, html, MARKS } from "../lib/ui.js";

// The word for a finished task depends on its hosts: canceled after some had completed, or failed on some of them only.
export function endOf(status, counts) {
  const { completed, canceled, ...rest } = Object.fromEntries(FINAL.map((one) => [one, counts?.[one] ?? 0]));
  if (status !== "failed" || Object.values(rest).some(Boolean)) return completed && ["failed", "canceled", "timeout"].includes(status) ? "partly" : null;
  return canceled && completed ? "canceled.partly" : null;
}

export function TaskPill({ status, counts }) {
  const end = endOf(status, counts), canceled = end === "canceled.partly";
  return html`<span class=${`pill s-${canceled ? "canceled" : status}`} data-status=${status}><span class="mark" aria-hidden="true">${MARKS[canceled ? "canceled" : status]}</span>${t(end ? `task.${canceled ? end : `${status}.partly`}` : `task.${status}`)}</span>`;
}

// Filled parts are hosts that have ended, by status. Running hosts are a line below the bar, so that a task at 0 %
// looks empty.
export function Meter({ counts, total, percent, label }) {
  const share = (n) => ({ width: `${total ? (100 * n) / total : 0}%` }), ended = FINAL.reduce((sum, one) => sum + counts[one], 0), busy = counts.running + counts.dispatched;
  const text = [...FINAL, "running"].filter((one) => counts[one]).map((one) => `${word(one)} ${number(counts[one])}`).join(", ");
  return html`<div class="meter" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(percent)} aria-valuetext=${`${number(percent, 1)} %${text ? `: ${text}` : ""}`} title=${text}>
    ${FINAL.filter((one) => counts[one]).map((one) => html`<i class=${`s-${one}`} style=${share(counts[one])}></i>`)}
    ${busy ? html`<b class="s-running" style=${{ ...share(busy), left: share(ended).width }}></b>` : null}</div>`;
}
