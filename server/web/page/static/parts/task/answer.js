// One host of a task: its state, the reason, and its output.
import { api } from "../../lib/api.js";
import { exact, plain, readable, size, span } from "../../lib/format.js";
import { said, t } from "../../lib/i18n.js";
import { Copy, Fact, html, Loading, OPEN, Pill, Problem, useAct, useAgain, useEffect, useRef, useState, When } from "../../lib/ui.js";
import { saveOutput, wholeText } from "./files.js";
import { Live } from "./live.js";
import { Notes } from "./notes.js";

const WAIT = 1000;
const isOpen = (row) => OPEN.includes(row.status);
// A response that was requested before the execution ended may arrive after the end.
const newer = (found) => (old) => (old?.host_id === found.host_id && !isOpen(old) && isOpen(found) ? old : found);

// The stored output of a stream.
function Output({ path, row, stream }) {
  const [kept, setKept] = useState(null);
  const [wrong, setWrong] = useState(null);
  const [turn, setTurn] = useState(0);
  const [busy, run, failure, clear] = useAct();
  useAgain(wrong, () => setTurn((old) => old + 1));
  const where = `${path}/hosts/${row.host_id}/output?stream=${stream}`;
  useEffect(() => {
    let over = false;
    (async () => {
      try {
        const head = await api(where), tail = head.tail_bytes ? await api(`${where}&part=tail`) : null;
        if (!over) { setKept({ head, tail }); setWrong(null); }
      } catch (bad) { if (!over) setWrong(bad); }
    })();
    return () => { over = true; };
  }, [row.status, row[stream]?.output_id, turn]);
  if (wrong) return html`<div class="output"><h4>${stream}</h4><${Problem} of=${wrong} /></div>`;
  if (!kept || !kept.head.total_bytes) return null;
  const { head, tail } = kept, gap = head.total_bytes - head.head_bytes - head.tail_bytes, group = { first_host: row, [stream]: row[stream] ?? { total_bytes: head.total_bytes } };
  return html`<details class="output" open><summary><h4>${stream} <span class="soft">${size(head.total_bytes)}</span></h4></summary>
    <div class="push"><${Copy} kind="link small" text=${() => wholeText(path, group)}>${t("groups.copy")}<//> <button type="button" class="link small" disabled=${busy} onClick=${() => run(() => saveOutput(path, row, stream))}>${t("output.download")}</button></div><${Problem} of=${failure} close=${clear} />
    <pre tabindex="0">${readable(head.text)}${gap > 0 ? html`<span class="soft">${"\n"}${t("output.gap", { size: size(gap) })}${"\n"}</span>` : null}${tail ? readable(tail.text) : null}</pre></details>`;
}

// The hint for a host that was offline depends on what has happened to the host since.
function useFate(row) {
  const [fate, setFate] = useState(null);
  const asks = row && ["offline", "never_seen"].includes(row.error?.code);
  useEffect(() => {
    setFate(null);
    if (!asks) return;
    api(`/hosts/${row.host_id}`).then((host) => {
      const state = host.identity?.state;
      setFate(["revoked", "released", "quarantined"].includes(state) ? state : host.connected ? "online" : null);
    }, (failure) => setFate(failure.status === 404 ? "deleted" : null));
  }, [row?.host_id, asks]);
  return fate;
}

export function Answer({ path, hostId, stamp, close }) {
  const [row, setRow] = useState(null);
  const [wrong, setWrong] = useState(null);
  const [turn, setTurn] = useState(0);
  useAgain(wrong, () => setTurn((old) => old + 1));
  const title = useRef(null), seen = useRef(null), read = useRef({ at: 0, of: null });
  const open = row && isOpen(row), fate = useFate(row);
  useEffect(() => { setRow(null); setWrong(null); seen.current = null; }, [hostId]);
  // The task's version changes with every host. An execution that has ended is not read again; any other is read at
  // most once a second.
  useEffect(() => {
    const own = read.current, same = own.of === hostId;
    if (same && row && !open) return;
    const mine = (act) => (what) => { if (own.of === hostId) act(what); };
    const timer = setTimeout(() => {
      Object.assign(own, { at: Date.now(), of: hostId });
      api(`${path}/hosts/${hostId}`).then(mine((found) => { setWrong(null); setRow(newer(found)); }), mine(setWrong));
    }, same ? Math.max(0, own.at + WAIT - Date.now()) : 0);
    return () => clearTimeout(timer);
  }, [hostId, stamp, turn]);
  useEffect(() => { title.current?.focus(); }, [row?.host_id]);
  if (!row) return html`<section class="card pad answer">${wrong ? html`<${Problem} of=${wrong} close=${close} />` : html`<${Loading} />`}</section>`;
  const why = said(row.status, { unreachable: row.unreachable, code: row.error?.code }), hint = fate ? t(`fate.${fate}`) : why.hint;
  if (open) seen.current = row.host_id;
  return html`<section class="card pad answer" aria-labelledby="answer-title">
    <div class="top"><h3 id="answer-title" ref=${title} tabindex="-1">${plain(row.hostname)}</h3><${Pill} status=${row.status} unreachable=${row.unreachable} code=${row.error?.code} />
      <div class="push"><a class="button" href=${`/hosts/${row.host_id}`}>${t("host")}</a><button type="button" onClick=${close}>${t("close")}</button></div></div>
    <p>${why.message}${row.error?.detail ? `: ${readable(row.error.detail)}` : ""}${row.status === "completed" ? "" : html` <span class="soft">– ${hint}</span>`}</p>
    <${Notes} of=${row.notes} />
    <dl class="facts">${row.exit_code !== null ? html`<${Fact} name=${t("exit")}>${row.exit_code}<//>` : null}${row.signal ? html`<${Fact} name=${t("signal.name")}>${row.signal}<//>` : null}
      ${row.execution_ms === null ? null : html`<${Fact} name=${t("took")}>${span(row.execution_ms)}<//>`}${row.attempt > 1 ? html`<${Fact} name=${t("attempt")}>${row.attempt}<//>` : null}
      ${row.finished_at ? html`<${Fact} name=${t("ended")}><${When} at=${row.finished_at} /> <span class="soft small">${exact(row.finished_at)}</span><//>` : null}</dl>
    ${seen.current === row.host_id ? html`<${Live} key=${`${row.host_id}-live`} path=${path} hostId=${row.host_id} ended=${setRow} />` : null}
    <${Output} key=${`${row.host_id}-out`} path=${path} row=${row} stream="stdout" /><${Output} key=${`${row.host_id}-err`} path=${path} row=${row} stream="stderr" />
    ${open ? html`<p class="soft small">${t("output.later")}</p>` : !row.stdout && !row.stderr ? html`<p class="soft small">${t("output.none")}</p>` : null}
  </section>`;
}
