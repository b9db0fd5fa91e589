// One host of a task: how it stands, why, and what it wrote.
import { api, ask } from "../lib/api.js";
import { exact, readable, size, span } from "../lib/format.js";
import { said, t } from "../lib/i18n.js";
import { Fact, html, Pill, useEffect, useRef, useState, warn, When } from "../lib/ui.js";

async function save(where, name) {
  const answer = await ask(where, { headers: { Accept: "application/octet-stream" } });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// What is kept of a stream. It is read again whenever the row changes, which is where a live tail of a running command belongs.
function Output({ path, row, stream }) {
  const [kept, setKept] = useState(null);
  const where = `${path}/hosts/${row.host_id}/output?stream=${stream}`;
  useEffect(() => {
    let over = false;
    (async () => {
      try {
        const head = await api(where), tail = head.tail_bytes ? await api(`${where}&part=tail`) : null;
        if (!over) setKept({ head, tail });
      } catch (failure) { if (!over) warn(failure); }
    })();
    return () => { over = true; };
  }, [row.status, row[stream]?.output_id]);
  if (!kept || !kept.head.total_bytes) return null;
  const { head, tail } = kept, gap = head.total_bytes - head.head_bytes - head.tail_bytes;
  return html`<div class="output"><h4>${stream} <span class="soft">${size(head.total_bytes)}</span> <button type="button" class="link small" onClick=${() => save(where, `${row.hostname}.${stream}`).catch(warn)}>${t("output.download")}</button></h4>
    <pre tabindex="0">${readable(head.text)}${gap > 0 ? html`<span class="soft">${"\n"}${t("output.gap", { size: size(gap) })}${"\n"}</span>` : null}${tail ? readable(tail.text) : null}</pre></div>`;
}

export function Answer({ path, hostId, stamp, close }) {
  const [row, setRow] = useState(null);
  const title = useRef(null);
  useEffect(() => { setRow(null); }, [hostId]);
  useEffect(() => {
    let over = false;
    api(`${path}/hosts/${hostId}`).then((found) => { if (!over) setRow(found); }, (failure) => { if (!over) warn(failure); });
    return () => { over = true; };
  }, [hostId, stamp]);
  useEffect(() => { title.current?.focus(); }, [row?.host_id]);
  if (!row) return null;
  const why = said(row.status, { unreachable: row.unreachable, code: row.error?.code });
  const open = ["pending", "dispatched", "running"].includes(row.status);
  return html`<section class="card pad answer" aria-labelledby="answer-title">
    <div class="top"><h3 id="answer-title" ref=${title} tabindex="-1">${row.hostname}</h3><${Pill} status=${row.status} unreachable=${row.unreachable} code=${row.error?.code} />
      <div class="push"><a class="button" href=${`/hosts/${row.host_id}`}>${t("host")}</a><button type="button" onClick=${close}>${t("close")}</button></div></div>
    <p>${why.message}${row.error?.detail ? `: ${readable(row.error.detail)}` : ""}${row.status === "completed" ? "" : html` <span class="soft">– ${why.hint}</span>`}</p>
    <dl class="facts">${row.exit_code !== null ? html`<${Fact} name=${t("exit")}>${row.exit_code}<//>` : null}${row.signal ? html`<${Fact} name=${t("signal.name")}>${row.signal}<//>` : null}
      <${Fact} name=${t("took")}>${span(row.execution_ms)}<//>${row.attempt > 1 ? html`<${Fact} name=${t("attempt")}>${row.attempt}<//>` : null}
      ${row.finished_at ? html`<${Fact} name=${t("ended")}><${When} at=${row.finished_at} /> <span class="soft small">${exact(row.finished_at)}</span><//>` : null}</dl>
    <${Output} key=${`${row.host_id}-out`} path=${path} row=${row} stream="stdout" /><${Output} key=${`${row.host_id}-err`} path=${path} row=${row} stream="stderr" />
    ${open ? html`<p class="soft small">${t("output.later")}</p>` : !row.stdout && !row.stderr ? html`<p class="soft small">${t("output.none")}</p>` : null}
  </section>`;
}
