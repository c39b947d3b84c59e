// What a board is set to: the sliders, their values, the region, and the way back. No page is needed here.

import { rangeOf, regionDirections, usedUp } from "./region.js";
import { maskToText, readState, textToMask, writeState } from "./state.js";

const REGIONAL = 8; // directions of a region that are offered
const REMEMBERED = 100; // settings that undo goes back to
const SAME = 1e-3; // strengths that differ by less are the same setting
const ROUNDED = 1e-2; // a mix whose sliders miss it by less is that of these sliders

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

  /** How many of the rows are directions of the basis. */
  get directions() {
    return this.pictures?.directions ?? 0;
  }

  /**
   * Set everything as a state says. A state of another basis sets nothing.
   * @param {string} text
   */
  apply(text) {
    this.text = text;
    const { payload } = this;
    if (!payload) return;
    const { rows, width, height } = payload;
    const read = readState(text);
    const state = read && read.basis === payload.id ? read : null;
    this.values = new Map();
    rows.forEach((row, index) => {
      const value = row.kind === "word" ? state?.words[row.name] : state?.strengths[index];
      this.values.set(idOf(row, index), value ?? 0);
    });
    this.painted = Boolean(state?.region);
    this.mask = state?.region ? textToMask(state.region.mask, width, height) : this.given;
    this.region = state?.region?.mask ?? (this.given ? maskToText(this.given, width, height) : "");
    this.makeSliders();
    state?.region?.strengths.forEach((value, index) => {
      if (this.find(`region:${index}`)) this.values.set(`region:${index}`, value);
    });
    if (state && !this.sumsUpTo(state.mix)) this.spread(state.mix); // a region as another version made it
  }

  /**
   * Whether the sliders add up to this mix.
   * @param {number[]} mix
   * @returns {boolean}
   */
  sumsUpTo(mix) {
    const sum = this.amounts();
    return mix.every((amount, index) => Math.abs(amount - sum[index]) < ROUNDED);
  }

  /**
   * Set the plain sliders to a mix, and those of the region to 0.
   * @param {ArrayLike<number>} mix
   */
  spread(mix) {
    for (const id of [...this.values.keys()]) if (id.startsWith("region:")) this.values.delete(id);
    for (let index = 0; index < this.directions; index++) {
      this.values.set(`direction:${index}`, Math.round(mix[index] * 1e4) / 1e4);
    }
  }

  /** The sliders of the rows, and those of the region if there is one. */
  makeSliders() {
    const { payload, pictures } = this;
    if (!payload || !pictures) return;
    this.sliders = payload.rows.map((row, index) => {
      const weights = new Float64Array(payload.rows.length);
      weights[index] = 1;
      const { kind, name, range } = row;
      const share = kind === "word" ? row.explained ?? null : null;
      return { id: idOf(row, index), kind, index, name, weights, range, colour: Boolean(row.colour), share };
    });
    regionDirections(pictures, this.region, REGIONAL).forEach(({ weights, inside }, index) => {
      const range = rangeOf(weights, payload.rows);
      const rest = { index, name: "", weights, range, colour: false, share: inside };
      this.sliders.push({ id: `region:${index}`, kind: "region", ...rest });
    });
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
    return usedUp(amounts, this.payload?.rows ?? []) > 1;
  }

  /** Whether anything is set. */
  get isSet() {
    return this.amounts().some((amount) => Math.abs(amount) > SAME);
  }

  /**
   * Take another region. What was set in the one before stays in the picture: plain sliders take it over.
   * @param {Uint8Array | null} mask
   */
  setMask(mask) {
    const { payload } = this;
    if (!payload) return;
    this.spread(this.amounts());
    this.mask = mask;
    this.region = mask ? maskToText(mask, payload.width, payload.height) : "";
    this.painted = true;
    this.makeSliders();
  }

  /** Set all sliders to 0. The region stays. */
  reset() {
    for (const id of this.values.keys()) this.values.set(id, 0);
  }

  /** The setting as the text of the state. */
  write() {
    const { payload } = this;
    if (!payload || (!this.isSet && !this.painted)) return "";
    const rows = payload.rows.map((row, index) => ({ row, value: this.values.get(idOf(row, index)) ?? 0 }));
    const words = rows.filter(({ row, value }) => row.kind === "word" && value);
    const region = this.sliders.filter((slider) => slider.kind === "region");
    const isRegional = this.painted || region.some(({ id }) => this.values.get(id));
    return writeState({
      version: 1,
      basis: payload.id,
      mix: [...this.amounts().slice(0, this.directions)],
      words: Object.fromEntries(words.map(({ row, value }) => [row.name, value])),
      strengths: rows.slice(0, this.directions).map(({ value }) => value),
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
    const wanted = this.payload.rows.map((row, index) =>
      row.kind === "word" ? setting.words[row.name] ?? 0 : setting.mix[index] ?? 0);
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
