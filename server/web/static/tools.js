"use strict";
// What the pages are made of: elements, requests, words. All that comes from hosts or users enters the document as text nodes
// only; no text is ever parsed as markup, and a test keeps it so.

const API = "/api/v1";
const KEY = "clarion-token";
const main = document.getElementById("main");
const notice = document.getElementById("notice");
let view = new AbortController();

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const pause = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

class Failure extends Error {
  constructor(error, status) {
    super(error.message);
    Object.assign(this, { code: error.code, field: error.field, hint: error.hint, more: error, status });
  }
}

async function api(path, { method = "GET", body, signal = view.signal, headers = {} } = {}) {
  const options = { method, signal, headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY)}`, ...headers }, cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path.startsWith("/health") ? path : API + path, options);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure({ code: "unreachable", message: "The server does not answer.", hint: "This page tries again by itself; if it lasts, look whether clarion-server runs." }, 0);
  }
  if (answer.status === 204) return null;
  const data = await answer.json();
  if (!answer.ok) throw new Failure(data.error, answer.status);
  return data;
}

function warn(failure) {
  if (failure.name === "AbortError") return;
  if (failure.status === 401) return leave("The server does not take this token any more.");
  const more = [];
  for (const name of ["unknown", "malformed"]) if (failure.more?.[name]?.length > 5) more.push(`${name}: ${failure.more[name].join(", ")}`);
  notice.replaceChildren(h("b", {}, failure.message || String(failure)), failure.hint ? ` – ${failure.hint}` : "", more.length ? h("div", { class: "small" }, more.join(" · ")) : "");
  notice.hidden = false;
}
const calm = () => { notice.hidden = true; };

const ESCAPES = /\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -\/]*[0-~])/g;
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;
const readable = (text) => text.replace(ESCAPES, "").replace(/\r\n/g, "\n").replace(CONTROLS, (c) => String.fromCharCode(c.charCodeAt(0) === 127 ? 0x2421 : 0x2400 + c.charCodeAt(0)));

const words = (status) => status.replace("_", " ");
const cell = (label, value) => h("td", { class: value === "–" ? "number none" : "number", "data-label": label }, value);
const pill = (status) => h("span", { class: `pill s-${status}` }, words(status));
const when = (ms) => (ms ? h("time", { datetime: new Date(ms).toISOString(), title: new Date(ms).toLocaleString() }, ago(ms)) : "–");
function ago(ms) {
  const s = Math.round((Date.now() - ms) / 1000);
  if (s < 5) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return new Date(ms).toLocaleDateString();
}
function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3600000) return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
  const minutes = Math.floor((ms % 3600000) / 60000);
  return `${Math.floor(ms / 3600000)} h${minutes ? ` ${minutes} min` : ""}`;
}
function size(bytes) {
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (bytes < 1024 || unit === "GiB") return `${unit === "bytes" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1024;
  }
}
const ran = (command) => command.command ?? (command.argv ? command.argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ") : command.script);

const empty = (text, ...more) => h("div", { class: "card empty" }, h("p", {}, text), ...more);

// A list that grows by pages.
function pages(path, heads, row, whenEmpty) {
  const box = h("div", {});
  let body, foot;
  async function load(after) {
    const page = await api(`${path}${path.includes("?") ? "&" : "?"}${after ? `after=${encodeURIComponent(after)}&` : ""}limit=50`);
    if (!after) {
      if (!page.items.length) return box.replaceChildren(whenEmpty);
      body = h("tbody", {});
      foot = h("div", { class: "more", hidden: true });
      box.replaceChildren(h("div", { class: "card" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), body), foot));
    }
    body.append(...page.items.flatMap(row));
    foot.hidden = !page.next;
    foot.replaceChildren(h("button", { type: "button", onclick: () => load(page.next).catch(warn) }, "Show more"));
  }
  return { box, load };
}
