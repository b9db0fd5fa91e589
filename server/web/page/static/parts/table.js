// A table: columns can be hidden and sorted, rows can be selected, and everything can be saved as a file.
import { number, t } from "../lib/i18n.js";
import { choice, saveChoice } from "../lib/keep.js";
import { html, Problem, saveFile, useAct, useEffect, useRef, useState } from "../lib/ui.js";

const compare = new Intl.Collator(undefined, { numeric: true }).compare;
const order = (a, b) => (a === b ? 0 : a === null || a === undefined ? 1 : b === null || b === undefined ? -1 : typeof a === "number" && typeof b === "number" ? a - b : compare(String(a), String(b)));
// A spreadsheet would evaluate a cell that begins like a formula (OWASP, CSV injection).
const csvCell = (value) => {
  const text = value === null || value === undefined ? "" : String(value), safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
export const csv = (columns, rows) => [columns.map((one) => csvCell(one.key)).join(","), ...rows.map((row) => columns.map((one) => csvCell(one.value(row))).join(","))].join("\r\n") + "\r\n";

function Export({ name, columns, found, rows }) {
  const [busy, run, failure, clear] = useAct();
  const save = (kind) => () => run(async () => {
    const all = rows.length ? rows : await found.all();
    if (kind === "csv") saveFile(`${name}.csv`, ["\ufeff", csv(columns, all)], "text/csv");
    else saveFile(`${name}.json`, [JSON.stringify(all, null, 1)], "application/json");
  });
  const what = rows.length ? t("table.export.chosen", { n: rows.length }) : t("table.export.all");
  return html`<details class="menu"><summary class="button">${t("table.export")}</summary><div class="card pad"><p class="small soft">${what}</p>
    <button type="button" disabled=${busy} onClick=${save("csv")}>CSV</button> <button type="button" disabled=${busy} onClick=${save("json")}>JSON</button><${Problem} of=${failure} close=${clear} /></div></details>`;
}

// columns: {key, head, cell(row), value(row), kind: class of its cells, off: hidden by default}. id(row): identifies a
// row.
// bulk(rows, unchoose): the actions for selected rows. found: the result of usePages.
export function Rows({ name, columns, found, id, bulk, empty, label }) {
  const [shown, setShown] = useState(() => choice(`columns.${name}`) || columns.filter((one) => !one.off).map((one) => one.key));
  const [sorted, setSorted] = useState(null);
  const [chosen, setChosen] = useState(new Set());
  const [busy, run, failure, clear] = useAct();
  const last = useRef(null), table = useRef(null);
  const items = found.items || [], seen = columns.filter((one) => shown.includes(one.key) || one.always);
  const by = sorted && columns.find((one) => one.key === sorted.key);
  const rows = by ? [...items].sort((a, b) => sorted.way * order(by.value(a), by.value(b))) : items;
  const picked = items.filter((row) => chosen.has(id(row)));
  // A row that a filter removes from the list is no longer selected: actions apply to visible rows only.
  useEffect(() => { const there = new Set(items.map(id)); if ([...chosen].some((one) => !there.has(one))) setChosen(new Set([...chosen].filter((one) => there.has(one)))); }, [found.items]);
  const choose = (row, at) => (event) => {
    const next = new Set(chosen), on = event.target.checked, from = event.shiftKey && last.current !== null ? Math.min(last.current, at) : at, to = event.shiftKey && last.current !== null ? Math.max(last.current, at) : at;
    for (const one of rows.slice(from, to + 1)) if (on) next.add(id(one)); else next.delete(id(one));
    last.current = at;
    setChosen(next);
  };
  const every = picked.length === items.length && items.length > 0;
  const show = (key) => () => { const next = shown.includes(key) ? shown.filter((one) => one !== key) : [...shown, key]; setShown(next); saveChoice(`columns.${name}`, next); };
  const sort = (key) => () => setSorted(sorted?.key !== key ? { key, way: 1 } : sorted.way === 1 ? { key, way: -1 } : null);
  const rest = () => run(async () => { const all = await found.all(); found.change((old) => ({ ...old, items: all, next: null })); });
  const check = (props) => html`<input type="checkbox" ...${props} />`;
  return html`<div class="tools">${picked.length && bulk ? html`<div class="bulk"><b>${t("table.chosen", { n: picked.length })}</b> ${bulk(picked, () => setChosen(new Set()))}
        <button type="button" class="link" onClick=${() => setChosen(new Set())}>${t("map.unchoose")}</button></div>` : html`<span class="small soft" role="status">${items.length ? t(found.next ? "table.some" : "table.rows", { n: items.length }) : ""}${by && found.next ? ` ${t("table.partly")}` : ""}</span>`}
      <div class="push"><details class="menu"><summary class="button">${t("table.columns")}</summary><div class="card pad">${columns.filter((one) => !one.always).map((one) => html`<label>${check({ checked: shown.includes(one.key), onChange: show(one.key) })} ${one.head}</label>`)}</div></details>
        <${Export} name=${name} columns=${columns.filter((one) => one.value)} found=${found} rows=${picked} /></div></div>
    <${Problem} of=${failure} close=${clear} />
    ${rows.length ? html`<div class="card scroll"><table ref=${table} aria-label=${label}><thead><tr>${bulk ? html`<th scope="col" class="check">${check({ checked: every, indeterminate: picked.length > 0 && !every, "aria-label": t("table.every"), onChange: () => setChosen(every ? new Set() : new Set(items.map(id))) })}</th>` : null}
      ${seen.map((one) => html`<th scope="col" aria-sort=${sorted?.key === one.key ? (sorted.way === 1 ? "ascending" : "descending") : null}>${one.value ? html`<button type="button" class="plain sort" onClick=${sort(one.key)}>${one.head}<span aria-hidden="true">${sorted?.key === one.key ? (sorted.way === 1 ? " ↑" : " ↓") : ""}</span></button>` : one.head}</th>`)}</tr></thead>
      <tbody>${rows.map((row, at) => html`<tr key=${id(row)} class=${chosen.has(id(row)) ? "chosen" : ""}>${bulk ? html`<td class="check">${check({ checked: chosen.has(id(row)), "aria-label": t("table.choose", { name: columns[0].value(row) }), onClick: choose(row, at) })}</td>` : null}
        ${seen.map((one) => html`<td class=${one.kind || ""}>${one.cell(row)}</td>`)}</tr>`)}</tbody></table>
      ${found.next ? html`<div class="more"><button type="button" onClick=${() => run(() => found.more())}>${t("more")}</button> <button type="button" disabled=${busy} onClick=${rest}>${t("table.rest")}</button></div>` : null}</div>` : empty}`;
}

// The active filters, each with a way to remove it, and presets. chips: [{key, text, clear}]. presets: [{text, on,
// set}].
export const Chips = ({ chips, presets, clear }) => html`<div class="chipbar">${presets.map((one) => html`<button type="button" class=${`chip ${one.on ? "on" : ""}`} aria-pressed=${String(Boolean(one.on))} onClick=${one.set}>${one.text}</button>`)}
  ${chips.map((one) => html`<span class="chip on held">${one.text} <button type="button" class="plain" aria-label=${t("filters.without", { filter: one.text })} onClick=${one.clear}>✕</button></span>`)}
  ${chips.length || presets.some((one) => one.on) ? html`<button type="button" class="link" onClick=${clear}>${t("filters.clear")}</button>` : null}</div>`;
