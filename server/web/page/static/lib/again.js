// Repeats a failed read until it succeeds: after a pause, and at once when the server answers again or the user has
// signed in.
import { useEffect, useRef } from "../vendor/preact.js";
import { state, subscribe } from "./link.js";

const FIRST = 2000, MOST = 15000;

// Errors that the client must correct; repeating the same request does not help.
export const refused = (failure) => Boolean(failure) && failure.status >= 400 && failure.status < 500 && ![401, 408, 429].includes(failure.status);

// failure: why the last read failed, a new object for each failure; null after a success. again: reads once more.
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
