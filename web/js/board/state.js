// The state of a board: a setting as the text of a widget, which workflows save and Python reads.
//
// Python reads `version`, `basis`, `mix` and `words` alone. `mix` is what the sliders of directions and
// of the region add up to. `strengths` and `region` say where the sliders stand.

export { maskToText, textToMask } from "./mask_text.js";
import { textToGrid } from "./mask_text.js";

/**
 * A setting. `mix`: the strength of each direction of the basis. `words`: that of each word. `strengths`:
 * where the sliders of the directions stand. `region`: the painted mask as text, and where its sliders stand.
 * @typedef {{version: 1, basis: string, mix: number[], words: Record<string, number>, strengths: number[],
 *   region: {mask: string, strengths: number[]} | null}} BoardState
 */

const VERSION = 1;
const MOST = 100; // strengths beyond it are mistakes, as in pullback_core/directions/setting.py
const LONGEST = 1_000_000; // characters that are read, as in nodes/host/board_state.py
const DIGITS = 1e6; // numbers are kept to six places

/**
 * Read a state. What Python would not use is not used here either; the note of the next run says why.
 * @param {string} text
 * @returns {BoardState | null} null where nothing is set, or the text is no state that this page knows
 */
export function readState(text) {
  const found = text.length > LONGEST ? null : parsed(text);
  if (!isObject(found) || found.version !== VERSION) return null;
  const { basis = "", mix = [], words = {}, strengths } = found;
  if (typeof basis !== "string" || !areStrengths(mix)) return null;
  if (!isObject(words) || !areStrengths(Object.values(words))) return null;
  const region = readRegion(found.region);
  // Without its region, or with other sliders, what the picture shows is the mix, so the sliders show it too.
  const isWhole = areStrengths(strengths) && strengths.length === mix.length
    && (region || found.region == null);
  return {
    version: VERSION,
    basis,
    mix,
    words: /** @type {Record<string, number>} */ (words),
    strengths: isWhole ? strengths : [...mix],
    region: isWhole ? region : null,
  };
}

/**
 * Read the region of a state.
 * @param {unknown} found
 * @returns {BoardState["region"]} null where there is none, or it cannot be read
 */
function readRegion(found) {
  if (!isObject(found) || !areStrengths(found.strengths)) return null;
  const { mask, strengths } = found;
  if (typeof mask !== "string" || (mask && !textToGrid(mask))) return null;
  return { mask, strengths };
}

/**
 * A state as text.
 * @param {BoardState} state
 * @returns {string}
 */
export function writeState(state) {
  return JSON.stringify(state, (_, value) => {
    return typeof value === "number" ? Math.round(value * DIGITS) / DIGITS : value;
  });
}

/**
 * Parse JSON.
 * @param {string} text
 * @returns {unknown} null where the text is no JSON
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null; // a foreign text is a state that is not used
    throw error;
  }
}

/**
 * Whether a value of JSON is an object.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Whether a value of JSON is a list of strengths.
 * @param {unknown} value
 * @returns {value is number[]}
 */
function areStrengths(value) {
  return Array.isArray(value) && value.every((one) => {
    return typeof one === "number" && Number.isFinite(one) && Math.abs(one) <= MOST;
  });
}
