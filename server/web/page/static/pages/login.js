// Signs in with a token.
import { api } from "../lib/api.js";
import { sentence, t } from "../lib/i18n.js";
import { html, mount, useEffect, useRef, useState } from "../lib/ui.js";

// Only a path of this server, never the address of another site.
function next() {
  const wanted = new URLSearchParams(location.search).get("next") || "/";
  const url = new URL(wanted, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : "/";
}

function Login() {
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  async function enter(event) {
    event.preventDefault();
    setWrong(null);
    setBusy(true);
    try {
      await api("/session", { method: "POST", body: { token: field.current.value.trim() }, safe: true });
      location.replace(next());
    } catch (failure) {
      setWrong(sentence(failure));
      field.current.select();
      setBusy(false);
    }
  }
  return html`<form class="card pad narrow" onSubmit=${enter}>
    <h1>${t("login.title")}</h1>
    <p class="soft">${t("login.how")} <code>DATA/admin.token</code></p>
    <label for="token">${t("login.token")}</label>
    <input id="token" ref=${field} type="password" autocomplete="off" required placeholder="cl_…" spellcheck=${false} aria-invalid=${wrong ? "true" : null} aria-describedby="wrong" />
    <p id="wrong" class="small bad" role="status">${wrong}</p>
    <div class="actions"><button class="primary" disabled=${busy}>${t("login.enter")}</button>${busy ? html`<span class="soft" role="status">${t("login.busy")}</span>` : null}</div>
  </form>`;
}

mount(Login);
