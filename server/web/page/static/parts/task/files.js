// Saves outputs as files: one stream of one host, or all results of a task in one text file.
import { api, ask, bodyOf, query } from "../../lib/api.js";
import { plain } from "../../lib/format.js";
import { number, said, t } from "../../lib/i18n.js";
import { saveFile } from "../../lib/ui.js";

const MOST_GROUPS = 5000, MOST_BYTES = 256 * 1024 * 1024;
const safe = (name) => name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 100) || "clarion";
const outputOf = (path, hostId, stream) => `${path}/hosts/${hostId}/output?stream=${stream}`;
const bytes = async (where) => new Uint8Array(await bodyOf(await ask(where, { headers: { Accept: "application/octet-stream" } }), "arrayBuffer"));

// The stored bytes of a stream, and the text that replaces the missing bytes between head and tail.
async function kept(where) {
  const head = await api(where), gap = head.total_bytes - head.head_bytes - head.tail_bytes;
  const parts = [await bytes(where)];
  if (head.tail_bytes) parts.push(gap > 0 ? `\n${t("output.gap", { size: `${number(gap)} B` })}\n` : "", await bytes(`${where}&part=tail`));
  return parts;
}

export async function saveOutput(path, row, stream) {
  saveFile(`${safe(row.hostname)}.${stream}`, await kept(outputOf(path, row.host_id, stream)));
}

// The output of a group: stdout, then stderr.
async function written(path, group) {
  const found = [];
  for (const stream of ["stdout", "stderr"]) if (group[stream] && group[stream].total_bytes !== null) found.push([stream, await kept(outputOf(path, group.first_host.host_id, stream))]);
  return found;
}

export async function wholeText(path, group) {
  const decoder = new TextDecoder(), parts = (await written(path, group)).flatMap(([, pieces]) => pieces);
  return parts.map((part) => (typeof part === "string" ? part : decoder.decode(part))).join("");
}

// One text with, for each group, its hosts, how they ended, and their stored output.
export async function everything(path, name) {
  const parts = [];
  let after = null, groups = 0, size = 0;
  const add = (...more) => { for (const part of more) { parts.push(part); size += part.length; } };
  add(`# ${plain(name)}\n# ${location.origin}${location.pathname}\n`);
  do {
    const page = await api(`${path}/groups${query({ after, limit: 100 })}`);
    for (const group of page.items) {
      const how = [said(group.status, { code: group.error?.code }).word, group.exit_code !== null ? `${t("exit")} ${group.exit_code}` : group.signal ? t("signal", { n: group.signal }) : null].filter(Boolean).join(", ");
      add(`\n==== ${t("groups.n", { n: group.count })}: ${how}: ${group.more ? group.selector : plain(group.folded)}\n`);
      if (group.error?.detail) add(`${group.error.detail}\n`);
      for (const [stream, pieces] of await written(path, group)) add(`---- ${stream}\n`, ...pieces, "\n");
      if (++groups >= MOST_GROUPS || size > MOST_BYTES) { add(`\n# ${t("groups.download.cut", { n: groups, all: page.groups })}\n`); after = null; break; }
      after = page.next;
    }
    if (!page.items.length) after = null;
  } while (after);
  saveFile(`${safe(name)}.txt`, parts, "text/plain");
}
