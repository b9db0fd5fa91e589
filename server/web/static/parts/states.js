// The packed states of a task's hosts, kept up to date by what changed.
import { api, ask } from "../lib/api.js";
import { useEffect, useRef, useState, warn } from "../lib/ui.js";

const HEAD = 20, SPACING = 500;

function uuid(bytes, at) {
  const hex = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

// {names, states, version, idOf(place), placeOf(id)} or null; read again when `stamp` changes, at most twice a second, the last change included.
export function useStates(path, stamp, final) {
  const [cells, setCells] = useState(null);
  const [version, setVersion] = useState(0);
  const kept = useRef({ etag: null, states: null, reading: false, again: false, task: -1 });
  async function read() {
    const own = kept.current;
    if (own.reading) { own.again = true; return; }
    own.reading = true;
    try {
      const answer = await ask(`${path}/states${own.etag ? `?since=${own.etag}` : ""}`);
      const data = new DataView(await answer.arrayBuffer()), total = data.getUint32(8, true);
      if (data.getUint8(4) === 0) {
        const whole = new Uint8Array(data.buffer, HEAD);
        if (own.states) own.states.set(whole); else own.states = whole.slice();
      } else for (let at = HEAD; at < data.byteLength; at += 4) { const change = data.getUint32(at, true); own.states[change >>> 8] = change & 255; }
      if (own.states.length !== total) throw new Error(`${own.states.length} states of ${total} hosts`);
      own.etag = answer.headers.get("ETag").replaceAll('"', "");
      own.task = Number(answer.headers.get("X-Task-Version"));
      setVersion((old) => old + 1);
    } catch (failure) { warn(failure); }
    setTimeout(() => { own.reading = false; if (own.again || (own.wanted !== undefined && own.task < own.wanted)) { own.again = false; read(); } }, SPACING);
  }
  useEffect(() => {
    (async () => {
      try {
        const [found] = await Promise.all([api(`${path}/cells`), read()]);
        const bytes = Uint8Array.from(atob(found.ids), (c) => c.charCodeAt(0));
        setCells({ names: found.names, idOf: (place) => uuid(bytes, place * 16), placeOf: (id) => found.names.findIndex((_, place) => uuid(bytes, place * 16) === id) });
      } catch (failure) { warn(failure); }
    })();
  }, []);
  useEffect(() => { if (stamp === undefined) return; kept.current.wanted = stamp; if (kept.current.etag) read(); }, [stamp, final]);
  return cells && kept.current.states ? { ...cells, states: kept.current.states, version } : null;
}
