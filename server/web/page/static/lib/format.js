// Times in the user's time zone, durations, sizes, and readable output.
import { lang, number, t } from "./i18n.js";
export { look, plain, readable, visible } from "./readable.js";

const full = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto", style: "short" });

const hour = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

// A time of today is shown without its date.
export const clock = (ms) => (new Date(ms).toDateString() === new Date().toDateString() ? hour.format(ms) : full.format(ms));
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

export const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
export const ran = (command) => command.command ?? (command.argv ? command.argv.map(quoted).join(" ") : command.script);
