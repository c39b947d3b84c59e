// The texts of the page's elements, in the language of the page. They are in locales/<language>/main.json.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";

const ENGLISH = "en";

/** @typedef {{[key: string]: string | Texts}} Texts */

/** @type {Record<string, {pullback?: Texts}>} */
let languages = {};
/** @type {Promise<void> | null} */
let loading = null;

/**
 * Ask the server for the texts, once. An extension waits for it in its `setup`, before it makes elements.
 * @returns {Promise<void>}
 */
export function loadStrings() {
  loading ??= fetchStrings();
  return loading;
}

/** Ask the server for the texts. */
async function fetchStrings() {
  const answer = await api.fetchApi("/i18n");
  if (answer.ok) languages = await answer.json();
  else console.warn(`Pullback: the server sends no texts (${answer.status}); their names are shown.`);
}

/**
 * A text by its name below "pullback", with `{name}` replaced by values. English stands in for a text that
 * the language of the page lacks.
 * @param {string} key Such as "board.run".
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function text(key, values = {}) {
  const found = lookUp(locale(), key) ?? lookUp(ENGLISH, key) ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * The language of the page, such as "zh".
 * @returns {string}
 */
function locale() {
  const settings = /** @type {{getSettingValue?: (id: string) => unknown} | undefined} */ (app.ui?.settings);
  return String(settings?.getSettingValue?.("Comfy.Locale") ?? ENGLISH);
}

/**
 * A text in one language.
 * @param {string} language
 * @param {string} key
 * @returns {string | undefined}
 */
function lookUp(language, key) {
  /** @type {string | Texts | undefined} */
  let found = languages[language]?.pullback;
  for (const part of key.split(".")) {
    if (typeof found !== "object") return undefined;
    found = found[part];
  }
  return typeof found === "string" ? found : undefined;
}
