// Opens the form of a new task for selected hosts, by name if the name is unique, otherwise by id.
import { saveDraft } from "../lib/keep.js";

const SIMPLE = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/, WORDS = new Set(["all", "and", "or", "not", "online", "offline", "in"]);

// hosts: [{host_id, hostname}]. known: all names, to find those that are not unique; by default the names in `hosts`.
export function targetsOf(hosts, known = hosts.map((host) => host.hostname)) {
  const often = new Map();
  for (const name of known) often.set(name, (often.get(name) ?? 0) + 1);
  return hosts.map(({ host_id, hostname, selector }) => selector ?? (SIMPLE.test(hostname) && !WORDS.has(hostname.toLowerCase()) && (often.get(hostname) ?? 1) < 2 ? hostname : host_id)).join(", ");
}

// Thousands of names do not fit into a URL, so they are passed through the tab's session storage.
export function runOn(targets) {
  saveDraft("targets", targets);
  location.assign("/new");
}
