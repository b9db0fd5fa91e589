// Two charts. uPlot draws on a canvas; a text below says the same.
import { lang, number, t } from "../lib/i18n.js";
import { html, useEffect, useRef } from "../lib/ui.js";

const HOURS = 24;
const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The space that an axis needs for its longest label, measured with its tick and gap, in CSS pixels.
function wide(chart, labels, index, cycle) {
  const axis = chart.axes[index];
  // Wider labels leave less space for the plot, which may change the labels. The number of rounds is limited so that
  // this ends.
  if (cycle > 2) return axis._size;
  chart.ctx.font = axis.font[0];
  const longest = Math.max(0, ...(labels ?? []).map((label) => chart.ctx.measureText(label).width));
  return Math.ceil(axis.ticks.size + axis.gap + longest / window.devicePixelRatio) + 4;
}

// around: seconds added before the first time and after the last, for marks that are wider than a point in time.
function useChart(box, data, series, around = 0) {
  const chart = useRef(null), latest = useRef(data);
  useEffect(() => {
    const draw = () => {
      const axis = { stroke: tone("soft"), grid: { stroke: tone("line"), width: 1 }, ticks: { stroke: tone("line") } };
      chart.current?.destroy();
      chart.current = new window.uPlot({
        width: Math.max(240, box.current.clientWidth), height: 170, padding: [8, 24, 0, 0], legend: { show: false }, cursor: { show: false },
        scales: { x: { range: (_, low, high) => [low - around, high + around] }, y: { range: (_, low, high) => [0, Math.max(1.05 * high, 1)] } },
        axes: [{ ...axis, size: 30, values: (_, ticks, axisAt, space, step) => ticks.map((at) => at % 1 ? "" : new Date(at * 1000).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}), hourCycle: "h23" })) }, { ...axis, values: (_, ticks) => ticks.map((value) => (value % 1 ? "" : number(value))), size: wide }],
        series: [{}, ...series().map((one) => ({ width: 2, points: { show: false }, ...one }))],
      }, latest.current, box.current);
    };
    latest.current = data;
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    window.addEventListener("resize", draw);
    return () => { scheme.removeEventListener("change", draw); window.removeEventListener("resize", draw); chart.current.destroy(); chart.current = null; };
  }, []);
  useEffect(() => { latest.current = data; chart.current?.setData(data); }, [data]);
}

const steps = (u, ...rest) => window.uPlot.paths.bars({ size: [0.8, 40] })(u, ...rest);

export function Finished({ tasks }) {
  const box = useRef(null);
  const first = Math.floor(Date.now() / 3600000) - HOURS + 1;
  const hours = [...Array(HOURS).keys()].map((index) => (first + index) * 3600);
  const good = hours.map(() => 0), all = hours.map(() => 0);
  for (const task of tasks) {
    const index = task.finished_at ? Math.floor(task.finished_at / 3600000) - first : -1;
    if (index < 0) continue;
    all[index] += task.total_hosts;
    good[index] += task.completed_hosts;
  }
  useChart(box, [hours, all, good], () => [{ stroke: tone("bad"), fill: tone("bad"), paths: steps }, { stroke: tone("good"), fill: tone("good"), paths: steps }], 1800);
  const total = all.reduce((a, b) => a + b, 0), done = good.reduce((a, b) => a + b, 0);
  return html`<div ref=${box} class="chart" aria-hidden="true"></div><p class="small soft"><span class="s-completed swatch">■</span> ${t("trend.good", { n: done })} · <span class="s-failed swatch">■</span> ${t("trend.bad", { n: total - done })}</p>`;
}

export function Pace({ points }) {
  const box = useRef(null);
  const data = [points.map((one) => one.at), points.map((one) => one.connected), points.map((one) => one.busy)];
  useChart(box, data, () => [{ stroke: tone("good") }, { stroke: tone("busy"), dash: [6, 4] }]);
  const last = points.at(-1) || { connected: 0, busy: 0 };
  return html`<div ref=${box} class="chart" aria-hidden="true"></div><p class="small soft"><span class="s-completed swatch">—</span> ${t("trend.connected", { n: last.connected })} · <span class="s-running swatch">┅</span> ${t("trend.busy", { n: last.busy })}</p>`;
}
