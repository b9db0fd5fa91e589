// API requests with the session's cookie. A request that changes something carries the session's CSRF token.
import { t } from "./i18n.js";
import { answered, named, signedIn, signedOut } from "./link.js";

export const API = "/api/v1";
const PATIENCE = 30000;
let csrf = null, known = false;

class Failure extends Error {
  constructor(error, status) {
    super(error.message);
    Object.assign(this, { code: error.code, field: error.field, hint: error.hint, more: error, status });
  }
}

export function toLogin() {
  const here = location.pathname + location.search;
  location.replace(here === "/" ? "/login" : `/login?next=${encodeURIComponent(here)}`);
}

// No response arrived. The server may still have made the change. A request with a key is executed once only, however
// often it is sent.
function silence({ method = "GET", headers = {}, safe = method === "GET" }) {
  const hint = safe ? "error.unreachable.hint" : headers["Idempotency-Key"] ? "error.unanswered.once" : "error.unanswered.hint";
  return new Failure({ code: "unreachable", message: t(safe ? "error.unreachable" : "error.unanswered"), hint: t(hint) }, 0);
}

// Something between browser and server, such as a proxy, sends responses in its own format.
async function refusal(answer) {
  try { return (await answer.json()).error ?? {}; } catch { return {}; }
}

// safe: the request changes nothing, whatever its method is.
export async function ask(path, wanted = {}, again = false) {
  const { method = "GET", body, signal, headers = {} } = wanted;
  const options = { method, signal, headers: { ...headers }, cache: "no-store", credentials: "same-origin" };
  if (method !== "GET" && path !== "/session") {
    if (csrf === null) await session();
    options.headers["X-Clarion-CSRF"] = csrf;
  }
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  // A request to a hanging server is aborted. After the head of the response has arrived, its body may take longer.
  const patience = new AbortController(), timer = setTimeout(() => patience.abort(), PATIENCE);
  signal?.addEventListener("abort", () => patience.abort());
  if (signal?.aborted) patience.abort();
  options.signal = patience.signal;
  let answer;
  try {
    answer = await fetch(API + path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw silence(wanted);
  } finally { clearTimeout(timer); }
  if (answer.ok) {
    answered();
    return answer;
  }
  const error = await refusal(answer);
  // A page that was never signed in goes to the login page. One that was signed in keeps the user's input and shows the
  // banner.
  if (answer.status === 401 && !(path === "/session" && method === "POST")) {
    if (known) signedOut(); else toLogin();
  }
  // Another tab has signed out and in again: the cookie belongs to a new session whose CSRF token this tab does not
  // know yet. The server made no change.
  if (error.code === "csrf_mismatch" && !again) {
    csrf = null;
    return ask(path, wanted, true);
  }
  throw error.code ? new Failure(error, answer.status) : Object.assign(silence(wanted), { status: answer.status });
}

// kind: json, text or arrayBuffer. A connection may also break in the middle of a response.
export async function bodyOf(answer, kind = "json", wanted = {}) {
  try { return await answer[kind](); } catch (error) {
    if (wanted.signal?.aborted) throw error;
    throw silence(wanted);
  }
}

export async function api(path, options) {
  const answer = await ask(path, options);
  return answer.status === 204 ? null : bodyOf(answer, "json", options);
}

export async function session() {
  const mine = await api("/session");
  csrf = mine.csrf;
  known = true;
  named(mine.name);
  return mine;
}

// Signs in without leaving the page. If another tab has already signed in, no token is needed.
export async function signIn(token) {
  const mine = await api("/session", token === undefined ? {} : { method: "POST", body: { token }, safe: true });
  csrf = mine.csrf;
  known = true;
  signedIn(mine.name);
  return mine;
}

export async function logOut() {
  if (csrf === null) await session();
  await ask("/session", { method: "DELETE", headers: { "X-Clarion-CSRF": csrf } });
}

export const query = (values) => {
  const pairs = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
};

export const bytesOf = (base64) => {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
};

// One action of a user creates one task, even if the connection breaks and the user presses the button again.
export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
