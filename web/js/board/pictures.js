// The pictures of a board: the reconstruction, and what each direction or word does to it at strength 1.
// Their sum is made here while a slider moves.

import { sizeWithin } from "./averages.js";
import { changeOf, coloursOf, loadPictures } from "./loading.js";
import { rangesOf } from "./ranges.js";
import { SmallPictures } from "./small_pictures.js";
import { addChanges, addEnlarged, write, writeStep } from "./sums.js";

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Payload} Payload */
/** @typedef {import("./types.js").FileRef} FileRef */

/** Everything but the slider that moves is summed. What is left for each picture is one step along it. */
class Held {
  /**
   * Keep the two parts of the sum.
   * @param {Float32Array} still - height x width x 3, the picture where the slider is 0
   * @param {Float32Array} change - height x width x 3, what the slider adds at 1
   */
  constructor(still, change) {
    this.still = still;
    this.change = change;
  }

  /**
   * Write the picture where the slider is at this amount.
   * @param {number} amount
   * @param {ImageData} image
   */
  at(amount, image) {
    writeStep(this.still, this.change, amount, image.data);
  }
}

/** The pictures of a board. Changes stay in bytes, as they came: a step of a row is `scale` levels of 255. */
export class BoardPictures {
  /**
   * Fetch the pictures of a board.
   * @param {Payload} payload - what the node sent
   * @param {(file: FileRef) => string} urlOf - where the page finds a file of the host
   * @returns {Promise<BoardPictures>}
   */
  static async load(payload, urlOf) {
    const { width, height, rows, known } = payload;
    const { known_width: knownWidth = width, known_height: knownHeight = height } = payload;
    const count = rows.filter(({ kind }) => kind === "known").length;
    const load = (/** @type {FileRef} */ file, /** @type {number} */ many) => {
      return loadPictures(urlOf(file), width, height, many, changeOf);
    };
    const [[before], changes, knownChanges] = await Promise.all([
      loadPictures(urlOf(payload.before), width, height, 1, coloursOf),
      load(payload.changes, known ? rows.length - count : rows.length),
      known ? loadPictures(urlOf(known), knownWidth, knownHeight, count, changeOf) : [],
    ]);
    const inOrder = rows.map(({ kind }) => (kind === "known" && known ? knownChanges : changes).shift());
    const found = /** @type {Int8Array[]} */ (inOrder);
    const size = /** @type {[number, number]} */ (known ? [knownWidth, knownHeight] : [width, height]);
    return new BoardPictures(width, height, rows, before, found, payload.metric, size);
  }

  /**
   * Take pictures that are loaded.
   * @param {number} width
   * @param {number} height
   * @param {Row[]} rows - what is known of each change: directions, then known rows, then words
   * @param {Uint8Array} before - height x width x 3
   * @param {Int8Array[]} changes - for each row height x width x 3, in steps of its scale
   * @param {number[][]} [metric] - inner products of the moves along directions and known rows at strength 1
   * @param {[number, number]} [knownSize] - width and height of the changes of known rows
   */
  constructor(width, height, rows, before, changes, metric, knownSize = [width, height]) {
    this.width = width;
    this.height = height;
    this.rows = rows;
    this.before = before;
    this.changes = changes;
    this.metric = metric;
    this.knownSize = knownSize;
    this.ranges = rangesOf(rows, metric);
    /** @type {Map<string, SmallPictures>} */
    this.smaller = new Map();
    /** @type {Held | null} */
    this.held = null;
    /** @type {Float32Array | null} */
    this.composed = null;
  }

  /**
   * How many of the rows are directions. They come first.
   * @returns {number}
   */
  get directions() {
    return this.rows.filter((row) => row.kind === "direction").length;
  }

  /**
   * How many of the rows a setting mixes: the directions and the known rows after them. Words come last.
   * @returns {number}
   */
  get mixed() {
    return this.rows.filter((row) => row.kind !== "word").length;
  }

  /**
   * The size of the change of a row.
   * @param {number} row
   * @returns {[number, number]} width and height
   */
  sizeOf(row) {
    return this.rows[row].kind === "known" ? this.knownSize : [this.width, this.height];
  }

  /**
   * The picture where each row is at its amount.
   * @param {Float64Array} amounts - strengths of the rows
   * @param {ImageData} image - of the size of the pictures; it is written
   */
  compose(amounts, image) {
    this.composed ??= new Float32Array(this.before.length);
    this.composed.set(this.before);
    write(this.sum(amounts, this.composed), image.data);
  }

  /**
   * Prepare for one slider that moves. What was prepared before is given up: its memory is used again.
   * @param {Float64Array} amounts - strengths of the rows where that slider is at 0
   * @param {Float64Array} weights - what the slider adds to them at 1
   * @returns {Held} `at(amount, image)` writes the picture of amounts + amount * weights
   */
  hold(amounts, weights) {
    this.held ??= new Held(new Float32Array(this.before.length), new Float32Array(this.before.length));
    this.held.still.set(this.before);
    this.held.change.fill(0);
    this.sum(amounts, this.held.still);
    this.sum(weights, this.held.change);
    return this.held;
  }

  /**
   * Add changes to a picture.
   * @param {Float64Array} amounts - strengths of the rows
   * @param {Float32Array} target - height x width x 3, in levels of 255; it is changed and returned
   * @returns {Float32Array}
   */
  sum(amounts, target) {
    const [knownWidth, knownHeight] = this.knownSize;
    const isSmall = knownWidth !== this.width || knownHeight !== this.height;
    const used = [...this.rows.keys()].filter((row) => amounts[row]);
    const apart = used.filter((row) => isSmall && this.rows[row].kind === "known");
    this.add(target, used.filter((row) => !apart.includes(row)), amounts);
    if (!apart.length) return target;
    // Small changes are summed in their own size, and enlarged once.
    const small = new Float32Array(3 * knownWidth * knownHeight);
    this.add(small, apart, amounts);
    addEnlarged(target, this.width, this.height, small, knownWidth, knownHeight);
    return target;
  }

  /**
   * Add the changes of some rows, which have the size of the target.
   * @param {Float32Array} target - it is changed
   * @param {number[]} rows
   * @param {Float64Array} amounts - strengths of all rows
   */
  add(target, rows, amounts) {
    const changes = rows.map((row) => this.changes[row]);
    addChanges(target, changes, rows.map((row) => amounts[row] * this.rows[row].scale));
  }

  /**
   * The pictures in another size. Each size is made once.
   * @param {number} longEdge - in pixels; pictures that are smaller keep their size
   * @returns {SmallPictures}
   */
  small(longEdge) {
    const [width, height] = sizeWithin(this.width, this.height, longEdge);
    const name = `${width} x ${height}`;
    const known = this.smaller.get(name);
    if (known) return known;
    const made = new SmallPictures(this, width, height);
    this.smaller.set(name, made);
    return made;
  }

  /**
   * A small picture of a setting.
   * @param {Float64Array} amounts - strengths of the rows
   * @param {number} longEdge - in pixels
   * @returns {ImageData}
   */
  thumbnail(amounts, longEdge) {
    return this.small(longEdge).compose(amounts);
  }

  /**
   * A part of a small picture of a setting.
   * @param {Float64Array} amounts - strengths of the rows
   * @param {number} longEdge - in pixels, of the whole picture
   * @param {import("./mask_text.js").Part} part
   * @returns {ImageData}
   */
  closeUp(amounts, longEdge, part) {
    const whole = this.thumbnail(amounts, longEdge);
    const [left, top] = [Math.floor(part.left * whole.width), Math.floor(part.top * whole.height)];
    const width = Math.max(1, Math.min(whole.width - left, Math.round(part.width * whole.width)));
    const height = Math.max(1, Math.min(whole.height - top, Math.round(part.height * whole.height)));
    const image = new ImageData(width, height);
    for (let y = 0; y < height; y++) {
      const from = 4 * ((top + y) * whole.width + left);
      image.data.set(whole.data.subarray(from, from + 4 * width), 4 * y * width);
    }
    return image;
  }
}
