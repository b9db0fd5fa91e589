// The words of the page, in the language that the server chose for it.
export const lang = document.documentElement.lang;
const catalogue = await (await fetch(new URL(`../i18n/${lang}.json`, import.meta.url))).json();

// Numbers among the values are written in the language's way. A key may have a text of its own for `n` being one, under `key.1`.
export function t(key, values) {
  const written = (name) => (typeof values[name] === "number" ? number(values[name], 1) : values[name]);
  const text = (values?.n !== undefined && written("n") === "1" ? catalogue[`${key}.1`] : null) ?? catalogue[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => written(name)) : text;
}

// The word of an execution's state, and the sentence and the hint of the reason of its end where there is one (proto/words.py, proto/reasons.py).
export function said(status, { unreachable = false, code = null } = {}) {
  const { states } = catalogue.words;
  if (code) return { ...reason(code), word: states[status][0] };
  const [word, message, hint] = states[status];
  if (!unreachable) return { word, message, hint };
  const [offline, why, what] = states.unreachable;
  return { word: lang === "zh-CN" ? `${word}（${offline}）` : `${word} (${offline})`, message: why, hint: what };
}
// What a reason means; its word is that of the state in which such an execution ends.
export function reason(code) {
  const [word, message, hint] = catalogue.words.reasons[code] || catalogue.words.reasons.unknown;
  return { word, message, hint };
}
// The sentence and the hint of a note: a fact of a report that changes what there is to do.
export function noted(code) {
  const [message, hint] = catalogue.words.notes[code] || [code, ""];
  return { message, hint };
}
// What went wrong, in the page's language. The server's own sentence, which knows the particulars, is `detail` where that is not its language.
export function told(failure) {
  const [message, hint] = catalogue.words.errors?.[failure.code] || [failure.message || String(failure), failure.hint];
  return { message, hint, detail: message === failure.message || !failure.code ? null : failure.message };
}
export const sentence = (failure) => Object.values(told(failure)).filter(Boolean).join(". ");
export const word = (status, how) => said(status, how).word;
const forms = [0, 1].map((digits) => new Intl.NumberFormat(lang, { maximumFractionDigits: digits }));
export const number = (value, digits = 0) => forms[digits].format(value);
