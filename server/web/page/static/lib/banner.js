// The banner at the top of every page: the page is not live, or the user is signed out.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { signIn } from "./api.js";
import { clock } from "./format.js";
import { sentence, t } from "./i18n.js";
import { retry, state, subscribe } from "./link.js";

function Again() {
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => {
    // The user may have signed in in another tab; all tabs share the cookie.
    const look = () => { if (!document.hidden) signIn().catch(() => {}); };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  const enter = async (event) => {
    event.preventDefault();
    setWrong(null);
    setBusy(true);
    try { await signIn(field.current.value.trim()); } catch (failure) { setWrong(sentence(failure)); setBusy(false); field.current?.select(); }
  };
  return html`<form class="again" onSubmit=${enter}><p><b>${t("out.title")}</b> ${t("out.text")}</p>
    <div class="inline"><div class="field"><label for="again-token">${t("login.token")}</label><input id="again-token" ref=${field} type="password" autocomplete="off" required placeholder="cl_…" spellcheck=${false} aria-invalid=${wrong ? "true" : null} aria-describedby="again-wrong" /></div>
      <button class="primary" disabled=${busy}>${t("login.enter")}</button></div><p id="again-wrong" class="small bad" role="status">${wrong}</p></form>`;
}

export function Banner() {
  const [now, setNow] = useState(state());
  useEffect(() => subscribe(setNow), []);
  const box = document.getElementById("link");
  box.hidden = !now.out && !now.stale;
  if (now.out) return html`<${Again} />`;
  if (!now.stale) return null;
  return html`<p><b>${t("link.lost", { time: clock(now.at) })}</b> ${t("link.trying")} <button type="button" class="link" onClick=${retry}>${t("link.now")}</button></p>`;
}
