// The packed states of a task's hosts, updated with every change.
import { api, ask, bodyOf, bytesOf } from "../../lib/api.js";
import { useAgain, useEffect, useRef, useState } from "../../lib/ui.js";

const HEAD = 20;

function uuid(bytes, at) {
  const hex = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

// Returns [{names, states, version, idOf(place), placeOf(id)} or null, take(frame) for frames of the event stream,
// read() to request the states, the error if there are none].
export function useStates(path) {
  const [cells, setCells] = useState(null);
  const [version, setVersion] = useState(0);
  const kept = useRef({ generation: null, version: 0n, states: null });
  // A response may be older than a frame that arrived in the meantime; then it is ignored.
  function apply(buffer, etag) {
    const own = kept.current, data = new DataView(buffer), total = data.getUint32(8, true), now = data.getBigUint64(12, true), generation = etag.split(".")[0];
    if (generation === own.generation && now < own.version) return;
    if (data.getUint8(4) === 0) {
      const whole = new Uint8Array(buffer, HEAD);
      if (own.states) own.states.set(whole); else own.states = whole.slice();
    } else for (let at = HEAD; at < data.byteLength; at += 4) { const change = data.getUint32(at, true); own.states[change >>> 8] = change & 255; }
    if (own.states.length !== total) throw new Error(`${own.states.length} states of ${total} hosts`);
    Object.assign(own, { generation, version: now });
    setVersion((old) => old + 1);
  }
  async function read() {
    const answer = await ask(`${path}/states`);
    apply(await bodyOf(answer, "arrayBuffer"), answer.headers.get("ETag").replace(/^W\/|"/g, ""));
  }
  const [failure, setFailure] = useState(null);
  const known = useRef(false);
  const list = async () => {
    const [found] = await Promise.all([api(`${path}/cells`), read()]), bytes = bytesOf(found.ids);
    let places = null;
    const placeOf = (id) => (places ??= new Map([...found.names.keys()].map((place) => [uuid(bytes, place * 16), place]))).get(id);
    setFailure(null);
    known.current = true;
    setCells({ names: found.names, idOf: (place) => uuid(bytes, place * 16), placeOf });
  };
  useEffect(() => { list().catch(setFailure); }, []);
  useAgain(failure, () => list().catch(setFailure));
  const take = (frame) => apply(bytesOf(frame.data).buffer, frame.etag);
  // The first request is repeated until it succeeds. The banner of the page already says that it is not live.
  return [cells && { ...cells, states: kept.current.states, version }, take, () => (known.current ? read() : list()).catch(known.current ? () => {} : setFailure), failure];
}
