// Times in the viewer's zone, durations, sizes, and output made readable.
import { lang, number, t } from "./i18n.js";

const full = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto", style: "short" });

export const exact = (ms) => `${full.format(ms)} (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
export function ago(ms) {
  const s = Math.round((Date.now() - ms) / 1000);
  if (s < 5) return t("time.now");
  if (s < 60) return relative.format(-s, "second");
  if (s < 3600) return relative.format(-Math.floor(s / 60), "minute");
  if (s < 86400) return relative.format(-Math.floor(s / 3600), "hour");
  return new Date(ms).toLocaleDateString(lang);
}
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${number(ms / 1000, 1)} s`;
  if (ms < 3600000) return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
  const minutes = Math.floor((ms % 3600000) / 60000);
  return `${Math.floor(ms / 3600000)} h${minutes ? ` ${minutes} min` : ""}`;
}
export function size(bytes) {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB") return `${number(value, unit === "B" ? 0 : 1)} ${unit}`;
    value /= 1024;
  }
}

// A sequence that nobody ends stops at the end of its line, so that it hides no more than that.
const ESCAPES = /\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|[ -\/]*[0-~])/g;
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;
// Characters that turn the direction of text make it read otherwise than it is (CVE-2021-42574).
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const picture = (c) => String.fromCharCode(c < "\x20" ? 0x2400 + c.charCodeAt(0) : c === "\x7f" ? 0x2421 : 0xfffd);
// Most lines have none of it.
const ODD = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
export const readable = (text) => !ODD.test(text) ? text : text.replace(ESCAPES, "").replace(/\r\n/g, "\n").replace(CONTROLS, picture).replace(TURNS, (c) => `<U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);

export const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
export const ran = (command) => command.command ?? (command.argv ? command.argv.map(quoted).join(" ") : command.script);
