// A new task for hosts that were chosen: by name where a name is enough, else by id.
import { saveDraft } from "../lib/keep.js";

const SIMPLE = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/, WORDS = new Set(["all", "and", "or", "not", "online", "offline", "in"]);

// hosts: [{host_id, hostname}]. known: all names that may be meant, to see which are not alone; by default those of `hosts`.
export function targetsOf(hosts, known = hosts.map((host) => host.hostname)) {
  const often = new Map();
  for (const name of known) often.set(name, (often.get(name) ?? 0) + 1);
  return hosts.map(({ host_id, hostname, selector }) => selector ?? (SIMPLE.test(hostname) && !WORDS.has(hostname.toLowerCase()) && (often.get(hostname) ?? 1) < 2 ? hostname : host_id)).join(", ");
}

// Thousands of names fit no address, so they are handed over by the tab.
export function runOn(targets) {
  saveDraft("targets", targets);
  location.assign("/new");
}
