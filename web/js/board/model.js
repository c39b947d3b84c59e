// What a board is set to: the sliders, their values, the region, and the way back. No page is needed here.

import { rangeOf, regionDirections, usedUp } from "./region.js";
import { maskToText, readState, textToMask, writeState } from "./state.js";

const REGIONAL = 8; // directions of a region that are offered
const REMEMBERED = 100; // settings that undo goes back to
const SAME = 1e-3; // strengths that differ by less are the same setting
const ROUNDED = 1e-2; // a mix whose sliders miss it by less is that of these sliders
const REST = "rest"; // the slider of what earlier regions left

/** The setting of a board. */
export class BoardModel {
  /** A board that did not run yet. */
  constructor() {
    this.payload = /** @type {import("./types.js").Payload | null} */ (null);
    this.pictures = /** @type {import("./pictures.js").BoardPictures | null} */ (null);
    this.sliders = /** @type {import("./types.js").SliderSpec[]} */ ([]);
    this.values = /** @type {Map<string, number>} */ (new Map());
    this.mask = /** @type {Uint8Array | null} */ (null);
    this.given = /** @type {Uint8Array | null} */ (null); // the mask of the node's input
    this.region = ""; // the mask as text, which says what the directions of the region are
    this.rest = /** @type {Float64Array | null} */ (null); // what earlier regions left
    this.painted = false; // the mask was painted or cleared here, so it is part of the state
    this.text = ""; // the state as text, as of the last commit
    this.past = /** @type {string[]} */ ([]);
    this.future = /** @type {string[]} */ ([]);
  }

  /**
   * Take what a run made.
   * @param {import("./types.js").Payload} payload
   * @param {import("./pictures.js").BoardPictures} pictures
   * @param {Uint8Array | null} given - the mask of the node's input
   * @param {string} text - the state of the node
   */
  load(payload, pictures, given, text) {
    if (this.payload?.id !== payload.id) this.forget();
    this.payload = payload;
    this.pictures = pictures;
    this.given = given;
    this.apply(text);
  }

  /** Forget the settings before and after. */
  forget() {
    this.past = [];
    this.future = [];
  }

  /**
   * The rows of some kinds, with their places among all rows.
   * @param {("direction" | "known" | "word")[]} kinds
   * @returns {{row: import("./types.js").Row, index: number}[]}
   */
  rows(...kinds) {
    const all = (this.payload?.rows ?? []).map((row, index) => ({ row, index }));
    return all.filter(({ row }) => kinds.includes(row.kind));
  }

  /** How many of the rows are directions of the basis, which have a slider each. */
  get directions() {
    return this.rows("direction").length;
  }

  /**
   * Set everything as a state says. A state of another basis sets nothing.
   * @param {string} text
   */
  apply(text) {
    this.text = text;
    const { payload } = this;
    if (!payload) return;
    const { width, height } = payload;
    const read = readState(text);
    const state = read && read.basis === payload.id ? read : null;
    this.values = new Map();
    for (const { row, index } of this.rows("direction", "word")) {
      const value = row.kind === "word" ? state?.words[row.name ?? ""] : state?.strengths[index];
      this.values.set(idOf(row, index), value ?? 0);
    }
    this.painted = Boolean(state?.region);
    this.mask = state?.region ? textToMask(state.region.mask, width, height) : this.given;
    this.region = state?.region?.mask ?? (this.given ? maskToText(this.given, width, height) : "");
    this.rest = null;
    this.makeSliders();
    state?.region?.strengths.forEach((value, index) => {
      if (this.find(`region:${index}`)) this.values.set(`region:${index}`, value);
    });
    if (state) this.keepRest(state.mix);
  }

  /**
   * Give what a mix has beyond the sliders a slider of its own.
   * @param {ArrayLike<number>} mix - the strength of each row; words may be missing
   */
  keepRest(mix) {
    const rest = this.amounts().map((sum, index) => (mix[index] ?? sum) - sum);
    this.rest = rest.some((amount) => Math.abs(amount) > ROUNDED) ? rest : null;
    this.values.delete(REST);
    this.makeSliders();
    if (this.rest) this.values.set(REST, 1);
  }

  /** The sliders of the rows, and those of the region if there is one. */
  makeSliders() {
    const { payload, pictures } = this;
    if (!payload || !pictures) return;
    this.sliders = this.rows("direction", "word").map(({ row, index }) => {
      const weights = new Float64Array(payload.rows.length);
      weights[index] = 1;
      const { name = "", range = [0, 0], colour = false, explained = null } = row;
      const kind = /** @type {"word" | "direction"} */ (row.kind);
      return { id: idOf(row, index), kind, index, name, weights, range, colour, share: explained };
    });
    regionDirections(pictures, this.region, REGIONAL).forEach(({ weights, inside }, index) => {
      this.sliders.push(this.mixture(`region:${index}`, "region", index, weights, inside));
    });
    if (this.rest) this.sliders.push(this.mixture(REST, "rest", 0, this.rest, null));
  }

  /**
   * A slider of a mixture of directions.
   * @param {string} id
   * @param {"region" | "rest"} kind
   * @param {number} index
   * @param {Float64Array} weights
   * @param {number | null} share
   * @returns {import("./types.js").SliderSpec}
   */
  mixture(id, kind, index, weights, share) {
    const range = rangeOf(weights, this.pictures?.ranges ?? []);
    return { id, kind, index, name: "", weights, range, colour: false, share };
  }

  /**
   * The slider of an id.
   * @param {string} id
   * @returns {import("./types.js").SliderSpec | undefined}
   */
  find(id) {
    return this.sliders.find((slider) => slider.id === id);
  }

  /**
   * The strength of each row, all sliders added up.
   * @param {string} [without] - a slider that is left out
   * @returns {Float64Array}
   */
  amounts(without = "") {
    const sum = new Float64Array(this.payload?.rows.length ?? 0);
    for (const slider of this.sliders) {
      const value = slider.id === without ? 0 : this.values.get(slider.id) ?? 0;
      if (value) slider.weights.forEach((weight, row) => (sum[row] += value * weight));
    }
    return sum;
  }

  /**
   * The strength of each row if one slider stood elsewhere.
   * @param {string} id
   * @param {number} value
   * @returns {Float64Array}
   */
  amountsWith(id, value) {
    const sum = this.amounts(id);
    this.find(id)?.weights.forEach((weight, row) => (sum[row] += value * weight));
    return sum;
  }

  /**
   * Whether a setting lies beyond its linear range, so that the preview will not hold.
   * @param {Float64Array} amounts
   * @returns {boolean}
   */
  isBeyond(amounts) {
    return usedUp(amounts, this.pictures?.ranges ?? []) > 1;
  }

  /** Whether anything is set. */
  get isSet() {
    return this.amounts().some((amount) => Math.abs(amount) > SAME);
  }

  /**
   * Take another region. What was set in those before stays in the picture, as a slider of its own.
   * @param {Uint8Array | null} mask
   */
  setMask(mask) {
    const { payload } = this;
    if (!payload) return;
    const sum = this.amounts();
    for (const id of [...this.values.keys()]) if (id.startsWith("region:")) this.values.delete(id);
    this.mask = mask;
    this.region = mask ? maskToText(mask, payload.width, payload.height) : "";
    this.painted = true;
    this.rest = null;
    this.makeSliders();
    this.keepRest(sum);
  }

  /** Set all sliders to 0. The region stays. */
  reset() {
    for (const id of this.values.keys()) this.values.set(id, 0);
  }

  /** The setting as the text of the state. */
  write() {
    const { payload } = this;
    if (!payload || (!this.isSet && !this.painted)) return "";
    /** @param {("direction" | "known" | "word")[]} kinds */
    const valuesOf = (...kinds) => this.rows(...kinds).map(({ row, index }) => {
      return /** @type {const} */ ([row.name ?? "", this.values.get(idOf(row, index)) ?? 0]);
    });
    const region = this.sliders.filter((slider) => slider.kind === "region");
    const isRegional = this.painted || region.some(({ id }) => this.values.get(id));
    return writeState({
      version: 1,
      basis: payload.id,
      mix: [...this.amounts().slice(0, this.rows("direction", "known").length)],
      words: Object.fromEntries(valuesOf("word").filter(([, value]) => value)),
      strengths: valuesOf("direction", "known").map(([, value]) => value),
      region: isRegional
        ? { mask: this.region, strengths: region.map(({ id }) => this.values.get(id) ?? 0) }
        : null,
    });
  }

  /**
   * Remember the setting.
   * @returns {boolean} whether it differs from the one before
   */
  commit() {
    const text = this.write();
    if (text === this.text) return false;
    this.past.push(this.text);
    if (this.past.length > REMEMBERED) this.past.shift();
    this.future = [];
    this.text = text;
    return true;
  }

  /**
   * Set everything as a state says that something else wrote. The setting before can be gone back to.
   * @param {string} text
   */
  replace(text) {
    if (this.payload) this.past.push(this.text);
    this.future = [];
    this.apply(text);
  }

  /**
   * Go back to the setting before, or forward again.
   * @param {"past" | "future"} where
   * @returns {boolean} whether there was one
   */
  travel(where) {
    const text = this[where].pop();
    if (text === undefined) return false;
    this[where === "past" ? "future" : "past"].push(this.text);
    this.apply(text);
    return true;
  }

  /** Whether the true picture of the last run shows this setting. */
  get isTrue() {
    const setting = this.payload?.setting;
    if (!this.payload?.true || !setting) return false;
    const wanted = this.payload.rows.map(({ kind, name = "" }, index) => {
      return (kind === "word" ? setting.words[name] : setting.mix[index]) ?? 0;
    });
    return this.amounts().every((amount, row) => Math.abs(amount - wanted[row]) < SAME);
  }
}

/**
 * The id of the slider of a row. That of a word stays the same if other words come and go.
 * @param {import("./types.js").Row} row
 * @param {number} index
 * @returns {string}
 */
function idOf(row, index) {
  return row.kind === "word" ? `word:${row.name}` : `direction:${index}`;
}
