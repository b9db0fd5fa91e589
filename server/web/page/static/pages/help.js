// The states and their transitions, drawn from the tables that the server uses, and answers to common questions.
import { api } from "../lib/api.js";
import { reason, said, t } from "../lib/i18n.js";
import { KEYS } from "../lib/keys.js";
import { html, Loading, MARKS, open, Problem, STATES, useAgain, useEffect, useState } from "../lib/ui.js";

const EXECUTION = { pending: [0, 1], dispatched: [1, 1], running: [2, 1], completed: [3, 0], failed: [3, 1], timeout: [3, 2], lost: [2, 3], canceled: [1, 3], dispatch_failed: [0, 3] };
const TASK = { pending: [0, 1], running: [1, 1], completed: [2, 0], failed: [2, 1], timeout: [2, 2], canceled: [1, 3] };
const HOW = ["run", "choose", "failed", "again", "cancel", "find", "differ", "save", "label", "join", "gone", "cli", "lost"];
const SELECTORS = [["all", "all"], ["web-1, web-2", "names"], ["web*", "glob"], ["web[001-120]", "range"], ["role=db and not env=test", "labels"], ["online and os=linux", "online"], ["@web and not @canary", "set"], ["task:ID and status=failed", "task"], ["task:ID group=2", "group"]];
const W = 150, H = 44, DX = 205, DY = 78;

function Picture({ places, steps, name, words }) {
  const x = (state) => places[state][0] * DX + 4, y = (state) => places[state][1] * DY + 4;
  const arrow = ({ before, after }) => {
    const [ax, ay, bx, by] = [x(before) + W / 2, y(before) + H / 2, x(after) + W / 2, y(after) + H / 2], dx = bx - ax, dy = by - ay;
    // An arrow that would pass behind a box is drawn above it.
    const way = Math.sign(dx);
    if (!dy && Math.abs(dx) > DX) return html`<path d=${`M${ax + way * W / 4} ${ay - H / 2}C${ax + way * DX / 2} ${ay - 62} ${bx - way * DX / 2} ${by - 62} ${bx - way * W / 4} ${by - H / 2 - 7}`} class="arrow" marker-end=${`url(#head-${name})`} />`;
    const cut = (w, h) => Math.min(Math.abs(w / 2 / (dx || 1e-9)), Math.abs(h / 2 / (dy || 1e-9)));
    const a = cut(W, H), b = cut(W + 14, H + 14);
    return html`<line x1=${ax + dx * a} y1=${ay + dy * a} x2=${bx - dx * b} y2=${by - dy * b} class="arrow" marker-end=${`url(#head-${name})`} />`;
  };
  const unique = [...new Map(steps.map((one) => [`${one.before} ${one.after}`, one])).values()];
  const width = Math.max(...Object.values(places).map(([column]) => column)) * DX + W + 8, height = 3 * DY + H + 8;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t(`help.${name}`)}><svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${unique.map((one) => `${words(one.before)} → ${words(one.after)}`).join("; ")}>
    <defs><marker id=${`head-${name}`} viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="head" /></marker></defs>
    ${unique.map(arrow)}
    ${Object.keys(places).map((state) => html`<g class=${`s-${state}`}><rect x=${x(state)} y=${y(state)} width=${W} height=${H} rx="8" class="box" /><text x=${x(state) + W / 2} y=${y(state) + H / 2 + 5} class="name">${`${MARKS[state]} ${words(state)}`}</text></g>`)}</svg></div>`;
}

function Help() {
  const [words, setWords] = useState(null);
  const [wrong, setWrong] = useState(null);
  const read = () => api("/words").then((found) => { setWrong(null); setWords(found); }, setWrong);
  useEffect(() => { read(); }, []);
  useAgain(wrong, read);
  return html`<div class="top"><h1>${t("title.help")}</h1></div><${Problem} of=${wrong} />
    <section class="card pad"><h2>${t("help.how")}</h2><dl class="how">${HOW.map((name) => html`<dt>${t(`help.how.${name}`)}</dt><dd>${t(`help.how.${name}.text`)}</dd>`)}</dl></section>
    <section class="card pad"><h2>${t("help.task")}</h2><p>${t("help.task.text")}</p>${words ? html`<${Picture} places=${TASK} steps=${words.task_steps} name="task" words=${(state) => t(`task.${state}`)} />` : html`<${Loading} />`}</section>
    <section class="card pad"><h2>${t("help.execution")}</h2><p>${t("help.execution.text")}</p>${words ? html`<${Picture} places=${EXECUTION} steps=${words.execution_steps} name="execution" words=${(state) => said(state).word} />` : null}
      <dl class="facts meaning">${[...STATES, "unreachable"].map((state) => { const what = said(state === "unreachable" ? "running" : state, { unreachable: state === "unreachable" }); return html`<dt><span class=${`pill s-${state}`}><span class="mark" aria-hidden="true">${MARKS[state]}</span>${what.word}</span></dt><dd>${what.message} <span class="soft">– ${what.hint}</span></dd>`; })}</dl></section>
    <section class="card pad"><h2>${t("help.reasons")}</h2>${words ? html`<dl class="facts meaning">${Object.keys(words.reasons).map((code) => { const what = reason(code); return html`<dt><code>${code}</code> ${what.word}</dt><dd>${what.message} <span class="soft">– ${what.hint}</span></dd>`; })}</dl>` : null}</section>
    <section class="card pad"><h2>${t("help.select")}</h2><p>${t("help.select.text")}</p>
      <dl class="facts meaning">${SELECTORS.map(([text, key]) => html`<dt><code>${text}</code></dt><dd>${t(`help.select.${key}`)}</dd>`)}</dl></section>
    <section class="card pad"><h2>${t("keys.title")}</h2><dl class="facts meaning">${KEYS.map(([keys, what]) => html`<dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${t(what)}</dd>`)}</dl><p>${t("help.keys")}</p></section>`;
}

open(Help);
