// The output of a running command. Bytes become lines as a terminal would show them; the last lines of both streams are
// shown in one element, as text, in order of arrival.
import { bytesOf } from "./api.js";
import { t } from "./i18n.js";
import { Readable } from "./readable.js";

const LINES = 2000, CHARS = 400000, LINE = 4000, RUN = 100, RUN_CHARS = 20000;

// Where a line that is too long is divided: not within a character.
const cut = (text) => (/[\ud800-\udbff]/.test(text[LINE - 1]) ? LINE - 1 : LINE);

// The bytes of one stream -> its lines, as a terminal would show them. `at`: number of bytes received.
class Lines {
  constructor() { Object.assign(this, { at: 0, rest: "", screen: new Readable() }); }
  add(bytes) { return this.split(this.screen.add(bytes)); }
  split(text) {
    const found = (this.rest + text).split("\n");
    this.rest = found.pop();
    while (this.rest.length > LINE) {
      const at = cut(this.rest);
      found.push(this.rest.slice(0, at));
      this.rest = this.rest.slice(at);
    }
    return found.flatMap((line) => {
      const parts = [];
      for (; line.length > LINE; line = line.slice(cut(line))) parts.push(line.slice(0, cut(line)));
      return [...parts, line];
    });
  }
  // The last line, if no line end follows it.
  flush() {
    const lines = this.split(this.screen.end());
    if (this.rest) lines.push(this.rest);
    this.rest = "";
    return lines;
  }
  get partial() { return (this.rest + this.screen.line).slice(-LINE); }
}

const part = (box, name) => { const made = document.createElement("span"); made.className = name; made.append(""); box.append(made); return made; };

export class Tail {
  constructor(box) {
    Object.assign(this, { fresh: [], missed: 0, attempt: 0, runs: [], lines: 0, chars: 0, dropped: 0 });
    [this.top, this.all] = [part(box, "note"), part(box, "all")];
    this.ends = { stdout: part(box, "stdout"), stderr: part(box, "stderr") };
    this.streams = { stdout: new Lines(), stderr: new Lines() };
  }

  // Bytes that arrived before are skipped. Missing bytes are reported.
  take(name, data) {
    if (name === "attempt") return this.anew(data.attempt);
    const stream = this.streams[data.stream], bytes = name === "output" ? bytesOf(data.base64) : null, end = bytes ? data.offset + bytes.length : data.end;
    if (end <= stream.at) return;
    const missing = (bytes ? data.offset : end) - stream.at;
    if (missing > 0) {
      this.flush(data.stream);
      this.push("note", t("live.gap", { n: missing, stream: data.stream }));
    }
    if (bytes) for (const line of stream.add(bytes.subarray(Math.max(0, stream.at - data.offset)))) this.push(data.stream, line);
    stream.at = end;
  }
  anew(attempt) {
    if (attempt === this.attempt) return;
    if (this.attempt) {
      this.finish();
      this.push("note", t("live.attempt", { n: attempt }));
      this.streams = { stdout: new Lines(), stderr: new Lines() };
    }
    this.attempt = attempt;
  }
  flush(name) {
    for (const line of this.streams[name].flush()) this.push(name, line);
  }
  finish() { for (const name of Object.keys(this.streams)) this.flush(name); }
  push(kind, text) {
    this.fresh.push({ kind, text });
    if (this.fresh.length > 2 * LINES) { this.fresh.splice(0, LINES); this.missed += LINES; }
  }

  get counts() { return { stdout: this.streams.stdout.at, stderr: this.streams.stderr.at, behind: this.missed + this.fresh.length }; }

  draw() {
    if (this.missed || this.fresh.length > LINES) {
      const passed = Math.max(0, this.fresh.length - LINES);
      this.fresh.splice(0, passed);
      this.dropped += this.missed + passed + this.lines;
      this.all.replaceChildren();
      Object.assign(this, { missed: 0, lines: 0, chars: 0, runs: [] });
    }
    for (let from = 0, to; from < this.fresh.length; from = to) {
      const { kind } = this.fresh[from];
      let run = this.runs.at(-1);
      if (run?.kind !== kind || run.lines >= RUN || run.chars >= RUN_CHARS) {
        const made = part(this.all, kind);
        run = { kind, node: made, lines: 0, chars: 0 };
        this.runs.push(run);
      }
      const texts = [];
      for (to = from; to < this.fresh.length && this.fresh[to].kind === kind && run.lines + texts.length < RUN && run.chars < RUN_CHARS; to++) {
        texts.push(this.fresh[to].text);
        run.chars += this.fresh[to].text.length + 1;
      }
      const before = run.node.firstChild.length;
      // The last line break of a block is invisible. If the last line is empty, its line break must be visible, so it
      // becomes the beginning of the next block.
      const blank = texts.at(-1) === "";
      run.node.firstChild.appendData(`${run.lines && !run.blank ? "\n" : ""}${texts.join("\n")}${blank ? "\n" : ""}`);
      run.blank = blank;
      run.lines += texts.length;
      this.lines += texts.length;
      this.chars += run.node.firstChild.length - before;
    }
    this.fresh = [];
    while (this.runs.length > 1 && (this.lines > LINES || this.chars > CHARS)) {
      const old = this.runs.shift();
      this.chars -= old.node.firstChild.length;
      this.lines -= old.lines;
      this.dropped += old.lines;
      old.node.remove();
    }
    this.top.firstChild.data = this.dropped ? t("live.dropped", { n: this.dropped }) : "";
    for (const [name, node] of Object.entries(this.ends)) node.firstChild.data = this.streams[name].partial;
  }
}
