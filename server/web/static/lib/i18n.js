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

// The word, the sentence and the hint for an execution's state, or for the reason of its end.
export function said(status, { unreachable = false, code = null } = {}) {
  const { states, reasons } = catalogue.words;
  const [word, message, hint] = code ? reasons[code] || reasons.unknown : states[unreachable ? "unreachable" : status];
  return { word, message, hint };
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
