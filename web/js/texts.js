// @ts-check
// What the panel says in the user's language; where there is no translation, in English, as it is written in the code.

/** @typedef {Record<string, Record<string, string>>} Translations by language ("zh"), then by the English text */

/** @type {Translations} */
let translations = {};
let language = () => "en";

/** @param {Translations} known @param {() => string} current the language, asked for with each text */
export function useTranslations(known, current) {
  translations = known;
  language = current;
}

export function currentLanguage() {
  return language();
}

/**
 * Written out at each call, for tests/comfy/inside/locales.py collects the texts from the calls.
 * @param {string} english with {names} of values
 * @param {Record<string, string | number>} values
 */
export function t(english, values = {}) {
  const text = translations[language()]?.[english] ?? english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
