// What is typed into fields -> values of the API.

// NAME=VALUE, one a line; a line without = names itself.
export const pairs = (text) => Object.fromEntries(text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line.trim()).map((line) => {
  const at = line.indexOf("=");
  return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1)];
}));
// One word a line, spaces and all; only the last line break, which ends the text, makes none.
export const lines = (text) => text.replace(/\n$/, "").split("\n").map((line) => line.replace(/\r$/, ""));
// Words between commas or spaces.
export const list = (text) => text.split(/[\s,]+/).filter(Boolean);
