// Converts the content of form fields into values of the API.

// One NAME=VALUE per line; a line without = is a name with an empty value.
export const pairs = (text) => Object.fromEntries(text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line.trim()).map((line) => {
  const at = line.indexOf("=");
  return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1)];
}));
// One word per line, spaces included. The line break at the end of the text does not add a word.
export const lines = (text) => text.replace(/\n$/, "").split("\n").map((line) => line.replace(/\r$/, ""));
// Words separated by commas or spaces.
export const list = (text) => text.split(/[\s,]+/).filter(Boolean);
