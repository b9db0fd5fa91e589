// The words of the page, in the language that the server chose for it.
export const lang = document.documentElement.lang;
const catalogue = await (await fetch(new URL(`../i18n/${lang}.json`, import.meta.url))).json();

export function t(key, values) {
  const text = catalogue[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => values[name]) : text;
}

// The word, the sentence and the hint for an execution's state, or for the reason of its end.
export function said(status, { unreachable = false, code = null } = {}) {
  const { states, reasons } = catalogue.words;
  const [word, message, hint] = code ? reasons[code] || reasons.unknown : states[unreachable ? "unreachable" : status];
  return { word, message, hint };
}
export const word = (status, how) => said(status, how).word;
export const number = (value, digits = 0) => value.toLocaleString(lang, { maximumFractionDigits: digits });
