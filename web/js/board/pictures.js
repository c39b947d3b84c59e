// The pictures of a board: the reconstruction, and what each direction or word does to it at strength 1.
// Their sum is made here, in typed arrays, while a slider moves.

import { averages, sizeWithin } from "./averages.js";
import { changeOf, coloursOf, loadPictures } from "./loading.js";
import { GRID } from "./mask_text.js";

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
   * Write the picture where the slider is at this amount. Colours that do not exist are cut off.
   * @param {number} amount
   * @param {ImageData} image
   */
  at(amount, image) {
    const { still, change } = this;
    const { data } = image;
    for (let from = 0, to = 0; from < still.length; from += 3, to += 4) {
      data[to] = still[from] + amount * change[from];
      data[to + 1] = still[from + 1] + amount * change[from + 1];
      data[to + 2] = still[from + 2] + amount * change[from + 2];
      data[to + 3] = 255;
    }
  }
}

/**
 * Write a sum as a picture.
 * @param {Float32Array} sum - height x width x 3, in levels of 255
 * @param {Uint8ClampedArray} data - height x width x 4
 */
function write(sum, data) {
  for (let from = 0, to = 0; from < sum.length; from += 3, to += 4) {
    data[to] = sum[from];
    data[to + 1] = sum[from + 1];
    data[to + 2] = sum[from + 2];
    data[to + 3] = 255;
  }
}

/**
 * Add a change to a sum.
 * @param {Float32Array} sum - it is changed
 * @param {Int8Array} change
 * @param {number} factor
 */
function addOne(sum, change, factor) {
  for (let index = 0; index < sum.length; index++) sum[index] += factor * change[index];
}

/**
 * Add four changes to a sum at once. Most of the time goes into memory: 16 changes of 512 x 512 take 12 ms
 * so, and 21 ms one by one.
 * @param {Float32Array} sum - it is changed
 * @param {Int8Array[]} changes
 * @param {number[]} factors
 */
function addFour(sum, [a, b, c, d], [factorA, factorB, factorC, factorD]) {
  for (let index = 0; index < sum.length; index++) {
    sum[index] += factorA * a[index] + factorB * b[index] + factorC * c[index] + factorD * d[index];
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
    const { width, height, rows } = payload;
    const [[before], changes] = await Promise.all([
      loadPictures(urlOf(payload.before), width, height, 1, coloursOf),
      loadPictures(urlOf(payload.changes), width, height, rows.length, changeOf),
    ]);
    return new BoardPictures(width, height, rows, before, changes, payload.metric);
  }

  /**
   * Take pictures that are loaded.
   * @param {number} width
   * @param {number} height
   * @param {Row[]} rows - what is known of each change, directions first
   * @param {Uint8Array} before - height x width x 3
   * @param {Int8Array[]} changes - for each row height x width x 3, in steps of its scale
   * @param {number[][]} [metric] - inner products of the moves along the directions at strength 1
   */
  constructor(width, height, rows, before, changes, metric) {
    this.width = width;
    this.height = height;
    this.rows = rows;
    this.before = before;
    this.changes = changes;
    this.metric = metric;
    /** @type {Map<string, SmallPictures>} */
    this.smaller = new Map();
    /** @type {Float64Array[] | null} */
    this.products = null;
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
    const used = [...this.rows.keys()].filter((row) => amounts[row]);
    const changes = used.map((row) => this.changes[row]);
    const factors = used.map((row) => amounts[row] * this.rows[row].scale);
    const fours = used.length - (used.length % 4);
    for (let at = 0; at < fours; at += 4) addFour(target, changes.slice(at), factors.slice(at));
    for (let at = fours; at < used.length; at++) addOne(target, changes[at], factors[at]);
    return target;
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
   * How much the changes of two rows have in common: inner products on the grid, in squares of levels.
   * @returns {Float64Array[]} rows x rows
   */
  gram() {
    this.products ??= this.small(GRID).gram();
    return this.products;
  }
}

/** The pictures of a board in a smaller size, in levels of 255. */
class SmallPictures {
  /**
   * Bring pictures to a size by averages of areas.
   * @param {BoardPictures} pictures
   * @param {number} width
   * @param {number} height
   */
  constructor(pictures, width, height) {
    /** @param {Int8Array | Uint8Array} values */
    const shrunk = (values) => averages(values, pictures.width, pictures.height, 3, width, height);
    this.width = width;
    this.height = height;
    this.before = shrunk(pictures.before);
    this.changes = pictures.changes.map((change, row) => {
      const { scale } = pictures.rows[row];
      return shrunk(change).map((value) => value * scale);
    });
  }

  /**
   * The picture where each row is at its amount.
   * @param {Float64Array} amounts
   * @returns {ImageData}
   */
  compose(amounts) {
    const image = new ImageData(this.width, this.height);
    const sum = this.change(amounts);
    for (let index = 0; index < sum.length; index++) sum[index] += this.before[index];
    write(sum, image.data);
    return image;
  }

  /**
   * What a setting adds to the picture.
   * @param {ArrayLike<number>} amounts
   * @returns {Float32Array} height x width x 3
   */
  change(amounts) {
    const sum = new Float32Array(this.before.length);
    for (const [row, change] of this.changes.entries()) {
      const amount = amounts[row];
      if (!amount) continue;
      for (let index = 0; index < sum.length; index++) sum[index] += amount * change[index];
    }
    return sum;
  }

  /**
   * Inner products of the changes.
   * @param {Float32Array} [weights] - height x width, what each pixel counts; without it 1
   * @returns {Float64Array[]} rows x rows
   */
  gram(weights) {
    const { changes } = this;
    const weighted = weights ? changes.map((change) => timesPixels(change, weights)) : changes;
    const products = changes.map(() => new Float64Array(changes.length));
    for (let row = 0; row < changes.length; row++) {
      for (let other = 0; other <= row; other++) {
        products[row][other] = products[other][row] = dot(weighted[row], changes[other]);
      }
    }
    return products;
  }
}

/**
 * A change times a number for each pixel.
 * @param {Float32Array} change - height x width x 3
 * @param {Float32Array} weights - height x width
 * @returns {Float32Array} height x width x 3
 */
function timesPixels(change, weights) {
  const product = new Float32Array(change.length);
  for (let pixel = 0, index = 0; pixel < weights.length; pixel++, index += 3) {
    product[index] = weights[pixel] * change[index];
    product[index + 1] = weights[pixel] * change[index + 1];
    product[index + 2] = weights[pixel] * change[index + 2];
  }
  return product;
}

/**
 * The inner product of two changes.
 * @param {Float32Array} one
 * @param {Float32Array} other
 * @returns {number}
 */
function dot(one, other) {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += one[index] * other[index];
  return sum;
}
