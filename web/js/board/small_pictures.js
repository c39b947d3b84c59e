// The pictures of a board in a smaller size: for thumbnails, and to measure what lies inside a region.

import { averages } from "./averages.js";
import { addEnlarged, innerProducts, write } from "./sums.js";

/** @typedef {import("./pictures.js").BoardPictures} BoardPictures */

/** The pictures of a board in a smaller size, in levels of 255. Each is made when it is needed first. */
export class SmallPictures {
  /**
   * Take pictures.
   * @param {BoardPictures} pictures
   * @param {number} width
   * @param {number} height
   */
  constructor(pictures, width, height) {
    this.pictures = pictures;
    this.width = width;
    this.height = height;
    this.before = averages(pictures.before, pictures.width, pictures.height, 3, width, height);
    /** @type {(Float32Array | undefined)[]} */
    this.made = [];
  }

  /**
   * The change of a row at strength 1.
   * @param {number} row
   * @returns {Float32Array} height x width x 3
   */
  changeOf(row) {
    this.made[row] ??= this.make(row);
    return this.made[row];
  }

  /**
   * Bring the change of a row to this size, by averages of areas. A known row that is smaller is enlarged.
   * @param {number} row
   * @returns {Float32Array}
   */
  make(row) {
    const { pictures, width, height } = this;
    const { scale } = pictures.rows[row];
    const [fromWidth, fromHeight] = pictures.sizeOf(row);
    const [toWidth, toHeight] = [Math.min(fromWidth, width), Math.min(fromHeight, height)];
    const shrunk = averages(pictures.changes[row], fromWidth, fromHeight, 3, toWidth, toHeight);
    for (let index = 0; index < shrunk.length; index++) shrunk[index] *= scale;
    if (toWidth === width && toHeight === height) return shrunk;
    const enlarged = new Float32Array(3 * width * height);
    addEnlarged(enlarged, width, height, shrunk, toWidth, toHeight);
    return enlarged;
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
    for (let row = 0; row < amounts.length; row++) {
      const amount = amounts[row];
      if (!amount) continue;
      const change = this.changeOf(row);
      for (let index = 0; index < sum.length; index++) sum[index] += amount * change[index];
    }
    return sum;
  }

  /**
   * Inner products of the first changes, in squares of levels.
   * @param {number} count - how many changes
   * @param {Float32Array} [weights] - height x width, what each pixel counts; without it 1
   * @returns {Float64Array[]} count x count
   */
  gram(count, weights) {
    const changes = Array.from({ length: count }, (_, row) => this.changeOf(row));
    return innerProducts(changes, weights);
  }
}
