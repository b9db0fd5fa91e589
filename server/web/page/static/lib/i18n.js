// The texts of the page, in the language that the server selected for it.
export const lang = document.documentElement.lang;
const catalogue = await (await fetch(new URL(`../i18n/${lang}.json`, import.meta.url))).json();

// Numbers among the values are formatted for the language. A key may have a separate text for `n` = 1, under `key.1`.
export function t(key, values) {
  const written = (name) => (typeof values[name] === "number" ? number(values[name], 1) : values[name]);
  const text = (values?.n !== undefined && written("n") === "1" ? catalogue[`${key}.1`] : null) ?? catalogue[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => written(name)) : text;
}

// The word of an execution's state, and the sentence and hint of its reason, if it has one (proto/words.py,
// proto/reasons.py).
export function said(status, { unreachable = false, code = null } = {}) {
  const { states } = catalogue.words;
  if (code) return { ...reason(code), word: states[status][0] };
  const [word, message, hint] = states[status];
  if (!unreachable) return { word, message, hint };
  const [offline, why, what] = states.unreachable;
  return { word: lang === "zh-CN" ? `${word}（${offline}）` : `${word} (${offline})`, message: why, hint: what };
}
// The meaning of a reason. Its word is that of the state in which such an execution ends.
export function reason(code) {
  const [word, message, hint] = catalogue.words.reasons[code] || catalogue.words.reasons.unknown;
  return { word, message, hint };
}
// The sentence and the hint of a note: a fact of a report that needs attention.
export function noted(code) {
  const [message, hint] = catalogue.words.notes[code] || [code, ""];
  return { message, hint };
}
// An error in the page's language. If the server's own sentence is in another language, it is `detail`, because it
// contains the particulars.
export function told(failure) {
  const [message, hint] = catalogue.words.errors?.[failure.code] || [failure.message || String(failure), failure.hint];
  return { message, hint, detail: message === failure.message || !failure.code ? null : failure.message };
}
export const sentence = (failure) => Object.values(told(failure)).filter(Boolean).join(". ");
export const word = (status, how) => said(status, how).word;
const forms = [0, 1].map((digits) => new Intl.NumberFormat(lang, { maximumFractionDigits: digits }));
export const number = (value, digits = 0) => forms[digits].format(value);
