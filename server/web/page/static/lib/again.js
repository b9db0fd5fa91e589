// What could not be read is read again until it can be: after a pause, and at once when the server is heard again or the user has signed in.
import { useEffect, useRef } from "../vendor/preact.js";
import { state, subscribe } from "./link.js";

const FIRST = 2000, MOST = 15000;

// What the server does not take: what was asked has to be changed, and asking again is of no use.
export const refused = (failure) => Boolean(failure) && failure.status >= 400 && failure.status < 500 && ![401, 408, 429].includes(failure.status);

// failure: why the last reading brought nothing, a new one for each; null when it brought something. again: reads.
export function useAgain(failure, again) {
  const act = useRef(again), tries = useRef(0);
  act.current = again;
  useEffect(() => {
    if (!failure || failure.name === "AbortError" || refused(failure)) { tries.current = 0; return; }
    let before = state(), timer = null;
    const go = () => { clearTimeout(timer); tries.current++; act.current(); };
    const wait = () => { timer = setTimeout(() => (state().out || document.hidden ? wait() : go()), Math.min(MOST, FIRST * 1.5 ** tries.current)); };
    wait();
    const stop = subscribe((now) => { if (!now.out && !now.stale && (before.out || before.stale)) go(); before = now; });
    return () => { clearTimeout(timer); stop(); };
  }, [failure]);
}
