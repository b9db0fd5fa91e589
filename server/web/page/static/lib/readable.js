// Makes output and names readable for people: the rules of proto/readable.py, described in docs/guide/output.md.
// tests/proto/readable/cases.json tests both implementations.
const WINDOW = 65536, STRING = 4096;
// Characters that have no width or change the direction of writing. In names, also tab, line feed and a variation
// selector without a preceding character.
const CLASS = "\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}";
const HIDDEN = new RegExp(`[${CLASS}]`, "gu"), NAME_HIDDEN = new RegExp(`[\\t\\n${CLASS}]|(?:(?<=[\\0-\\x7f])|^)[\\ufe00-\\ufe0f]`, "gu");
// Control functions of ECMA-48 (5.3 to 5.6): CSI; OSC, DCS, SOS, PM and APC with their text; all other escapes. Also
// the beginnings of incomplete ones.
const TEXT = `(?:\\x1b[\\]PX^_]|[\\x9d\\x90\\x98\\x9e\\x9f])[^\\0-\\x1f\\x7f-\\x9f]{0,${STRING}}`;
const SEQUENCE = new RegExp(`(?:\\x1b\\[|\\x9b)(?<csi>[0-?]{0,64})[ -\\/]{0,16}(?<end>[@-~])|${TEXT}(?:\\x07|\\x1b\\\\|\\x9c)|\\x1b[ -\\/]{0,16}[0-OQ-WYZ\\\\\`-~]`, "uy");
const UNFINISHED = new RegExp(`(?:(?:\\x1b\\[|\\x9b)[0-?]{0,64}[ -\\/]{0,16}|${TEXT}\\x1b?|\\x1b[ -\\/]{0,16})$`, "uy");
const STEERS = /[\b\n\r\x1b\x90\x98\x9b\x9d-\x9f]/g;

const code = (c) => {
  const value = c.codePointAt(0), hex = value.toString(16);
  return value < 0x80 ? `\\x${hex.padStart(2, "0")}` : value < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
};
const shown = (line) => line.join("").replace(HIDDEN, code);
const match = (pattern, text, at) => { pattern.lastIndex = at; return pattern.exec(text); };

// Interprets a line like a terminal: a carriage return or a backspace moves back, and the following text overwrites.
// The result does not depend on how the bytes are divided.
// `add` returns what can no longer change: whole lines, and the part of a line that is more than WINDOW before its end.
export class Readable {
  constructor() { Object.assign(this, { decoder: new TextDecoder("utf-8", { ignoreBOM: true }), held: "", chars: [], at: 0 }); }
  add(bytes) { return this.take(this.decoder.decode(bytes, { stream: true }), false); }
  end() { return this.take(this.decoder.decode(), true) + this.final(); }
  // The unfinished line as it looks now, without an incomplete escape sequence.
  get line() { return shown(this.chars); }

  take(more, last) {
    const text = this.held + more, done = [];
    this.held = "";
    for (let at = 0; at < text.length;) {
      const steering = match(STEERS, text, at), upto = steering ? steering.index : text.length;
      if (upto > at) {
        this.write(text.slice(at, upto), done);
        at = upto;
        continue;
      }
      const found = match(SEQUENCE, text, at);
      if (found) {
        this.obey(found.groups.csi, found.groups.end);
        at += found[0].length;
      } else if (!last && match(UNFINISHED, text, at)) {
        this.held = text.slice(at);
        break;
      } else {
        this.control(text[at], done);
        at++;
      }
    }
    return done.join("");
  }
  write(text, done) {
    for (const char of text) {
      this.chars[this.at++] = char;
      if (this.at === WINDOW) done.push(this.final());
    }
  }
  control(char, done) {
    if (char === "\n") done.push(this.final(), "\n");
    else if (char === "\r") this.at = 0;
    else if (char === "\b") this.at = Math.max(0, this.at - 1);
    else this.write(char, done);
  }
  // Only erasing and moving within the line have an effect. All other control functions, mostly colours, are dropped.
  obey(parameter, name) {
    if (parameter === undefined || !/^[KJCDG]$/.test(name) || !/^[0-9]{0,6}$/.test(parameter)) return;
    const number = Number(parameter), step = Math.max(1, number);
    if (name === "K" || name === "J") {
      if (number === 0) this.chars.length = Math.min(this.chars.length, this.at);
      else if (number === 2 && name === "K") Object.assign(this, { chars: [], at: 0 });
    } else {
      const wanted = { C: this.at + step, D: this.at - step, G: step - 1 }[name];
      this.at = Math.min(Math.max(0, wanted), this.chars.length);
    }
  }
  final() {
    const text = shown(this.chars);
    Object.assign(this, { chars: [], at: 0 });
    return text;
  }
}

// Converts a whole text. Most texts need no change.
const ODD = new RegExp(`[\\b\\r${CLASS}]`, "u");
export function readable(text) {
  if (!ODD.test(text) && text.length < WINDOW) return text;
  const screen = new Readable();
  return screen.take(text, true) + screen.final();
}

// A name or another single value: every character that is invisible, or changes how the rest is read, is shown as its
// number.
export const plain = (name) => String(name ?? "").replace(NAME_HIDDEN, code);

// Shows every character: what `readable` interprets, drops or cannot show appears as its number. So do tabs, spaces at
// the end of a line, unusual
// spaces, combining marks and line ends; a backslash appears twice. A last line without a line end has none.
const SHORT = { "\t": "\\t", "\r": "\\r", "\b": "\\b", "\x1b": "\\e", "\\": "\\\\" };
const UNSEEN = /[\p{C}\p{M}\p{Z}]/u;
const told = (c) => SHORT[c] ?? (c >= " " && c <= "~" ? c : UNSEEN.test(c) || c.replace(HIDDEN, "") === "" ? code(c) : c);
export const visible = (text) => text.split("\n").map((line) => {
  const kept = line.replace(/ +$/, "");
  return [...kept].map(told).join("") + "\\x20".repeat(line.length - kept.length);
}).join("\\n\n");

// Only `visible` distinguishes texts that look the same.
export const look = (text) => readable(text).normalize("NFC").replace(/[\ufe00-\ufe0f]/g, "").split("\n").map((line) => line.trim().split(/\s+/).join(" ")).join("\n").replace(/\n$/, "");
