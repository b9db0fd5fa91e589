// The output of one host while its command runs. The view follows the end unless the user has scrolled up, and keeps
// only the last lines.
import { ask } from "../../lib/api.js";
import { size } from "../../lib/format.js";
import { t, told } from "../../lib/i18n.js";
import { follow } from "../../lib/live.js";
import { Tail } from "../../lib/tail.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";

const PAUSE = 200, NEAR = 24;

// ended: called with the execution when it has ended and all of its output has arrived.
export function Live({ path, hostId, ended }) {
  const box = useRef(null), tail = useRef(null), held = useRef(null);
  const [now, setNow] = useState({ state: "opening", why: null });
  const [counts, setCounts] = useState({ stdout: 0, stderr: 0, behind: 0 });
  const [stays, setStays] = useState(null);
  const hold = (why) => { held.current = why; setStays(why); };
  const draw = () => {
    if (!held.current) {
      tail.current.draw();
      box.current.scrollTop = box.current.scrollHeight;
    }
    setCounts(tail.current.counts);
  };
  useEffect(() => {
    const made = tail.current = new Tail(box.current), where = `${path}/hosts/${hostId}/output/live?beats=true`;
    let timer = null;
    const soon = () => { timer ??= setTimeout(() => { timer = null; draw(); }, PAUSE); };
    const take = (name) => (data) => { made.take(name, data); setNow((old) => (old.state === "on" ? old : { state: "on", why: null })); soon(); };
    // A browser does not report why a stream was refused, so an ordinary request asks for the reason.
    const broken = async () => {
      const once = new AbortController();
      try { await ask(where, { signal: once.signal }); } catch (failure) { setNow({ state: "broken", why: told(failure).message }); }
      once.abort();
    };
    const stop = follow(where, { attempt: take("attempt"), output: take("output"), gap: take("gap"), end: (row) => {
      stop();
      made.finish();
      setNow({ state: "over", why: null });
      soon();
      ended(row);
    } }, { aside: true, broken, interrupted: () => setNow((old) => (old.state === "over" ? old : { ...old, state: "broken" })), back: () => setNow({ state: "on", why: null }) });
    return () => { stop(); clearTimeout(timer); };
  }, []);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current, atEnd = scrollTop >= scrollHeight - clientHeight - NEAR;
    if (!atEnd && !held.current) hold("scroll");
    else if (atEnd && held.current === "scroll") { hold(null); draw(); }
  };
  const toEnd = () => { hold(null); draw(); };
  const { state } = now, wrote = counts.stdout + counts.stderr > 0;
  const said = stays && state !== "over" ? t("live.paused", { n: counts.behind }) : state === "on" && !wrote ? t("live.opening") : t(`live.${state}`);
  return html`<details class="live" open=${state !== "over" || Boolean(stays)} hidden=${state === "over" && !wrote}><summary>${t(state === "over" ? "live.past" : "live")} <span class=${`small state ${stays ? "stays" : state}`} data-live=${stays ? "paused" : state} role="status">${said}${now.why ? ` (${now.why})` : ""}</span></summary>
    <div class="top"><span class="small soft">stdout ${size(counts.stdout)} · stderr ${size(counts.stderr)}</span>
      ${state !== "over" || stays ? html`<div class="push">${stays ? null : html`<button type="button" onClick=${() => hold("button")}>${t("live.pause")}</button>`}
        ${stays ? html`<button type="button" class="primary" onClick=${toEnd}>${t("live.end")}</button>` : null}</div>` : null}</div>
    <pre class="tail" ref=${box} tabindex="0" role="log" aria-live="off" aria-label=${t("live")} onScroll=${scrolled}></pre></details>`;
}
