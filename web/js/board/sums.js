// Sums of changes, in typed arrays: what a board does for each picture that it shows.

import { placesBetween } from "./averages.js";

/**
 * Write a sum as a picture. Colours that do not exist are cut off.
 * @param {Float32Array} sum - height x width x 3, in levels of 255
 * @param {Uint8ClampedArray} data - height x width x 4
 */
export function write(sum, data) {
  for (let from = 0, to = 0; from < sum.length; from += 3, to += 4) {
    data[to] = sum[from];
    data[to + 1] = sum[from + 1];
    data[to + 2] = sum[from + 2];
    data[to + 3] = 255;
  }
}

/**
 * Write the sum of a picture and a multiple of a change.
 * @param {Float32Array} still - height x width x 3, in levels of 255
 * @param {Float32Array} change - height x width x 3
 * @param {number} amount
 * @param {Uint8ClampedArray} data - height x width x 4
 */
export function writeStep(still, change, amount, data) {
  for (let from = 0, to = 0; from < still.length; from += 3, to += 4) {
    data[to] = still[from] + amount * change[from];
    data[to + 1] = still[from + 1] + amount * change[from + 1];
    data[to + 2] = still[from + 2] + amount * change[from + 2];
    data[to + 3] = 255;
  }
}

/**
 * Add multiples of changes to a sum.
 * @param {Float32Array} sum - it is changed
 * @param {Int8Array[]} changes
 * @param {number[]} factors - one for each
 */
export function addChanges(sum, changes, factors) {
  const fours = changes.length - (changes.length % 4);
  for (let at = 0; at < fours; at += 4) addFour(sum, changes.slice(at), factors.slice(at));
  for (let at = fours; at < changes.length; at++) addOne(sum, changes[at], factors[at]);
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

/**
 * Add a small picture to a sum, smooth between its pixels.
 * @param {Float32Array} sum - height x width x 3; it is changed
 * @param {number} width
 * @param {number} height
 * @param {Float32Array} small - smallHeight x smallWidth x 3
 * @param {number} smallWidth
 * @param {number} smallHeight
 */
export function addEnlarged(sum, width, height, small, smallWidth, smallHeight) {
  const columns = placesBetween(width, smallWidth);
  const lines = placesBetween(height, smallHeight);
  const line = new Float32Array(3 * smallWidth);
  for (let y = 0, index = 0; y < height; y++) {
    const [upper, lower] = [3 * smallWidth * lines.first[y], 3 * smallWidth * lines.second[y]];
    for (let at = 0; at < line.length; at++) {
      line[at] = small[upper + at] + lines.way[y] * (small[lower + at] - small[upper + at]);
    }
    for (let x = 0; x < width; x++, index += 3) {
      const [left, right, way] = [3 * columns.first[x], 3 * columns.second[x], columns.way[x]];
      sum[index] += line[left] + way * (line[right] - line[left]);
      sum[index + 1] += line[left + 1] + way * (line[right + 1] - line[left + 1]);
      sum[index + 2] += line[left + 2] + way * (line[right + 2] - line[left + 2]);
    }
  }
}

/**
 * Inner products of changes, where each pixel counts by a weight.
 * @param {Float32Array[]} changes - each height x width x 3
 * @param {Float32Array} [weights] - height x width; without them each pixel counts 1
 * @returns {Float64Array[]} changes x changes
 */
export function innerProducts(changes, weights) {
  const parts = weights ? changes.map(weightedBy(weights)) : changes;
  const products = changes.map(() => new Float64Array(changes.length));
  for (let row = 0; row < parts.length; row++) {
    for (let other = 0; other <= row; other += 4) {
      const found = fourDots(parts[row], [0, 1, 2, 3].map((next) => parts[Math.min(other + next, row)]));
      for (let next = 0; next < 4 && other + next <= row; next++) {
        products[row][other + next] = products[other + next][row] = found[next];
      }
    }
  }
  return products;
}

/**
 * What takes the pixels out of a change that count, times the root of their weights. A region is a small part
 * of the picture, so most of the work falls away.
 * @param {Float32Array} weights - height x width
 * @returns {(change: Float32Array) => Float32Array}
 */
function weightedBy(weights) {
  const pixels = [...weights.keys()].filter((pixel) => weights[pixel] > 0);
  const roots = pixels.map((pixel) => Math.sqrt(weights[pixel]));
  return (change) => {
    const taken = new Float32Array(3 * pixels.length);
    for (let index = 0; index < pixels.length; index++) {
      for (let channel = 0; channel < 3; channel++) {
        taken[3 * index + channel] = roots[index] * change[3 * pixels[index] + channel];
      }
    }
    return taken;
  };
}

/**
 * The inner products of one row of numbers with four others.
 * @param {Float32Array} one
 * @param {Float32Array[]} others
 * @returns {number[]}
 */
function fourDots(one, [a, b, c, d]) {
  let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
  for (let index = 0; index < one.length; index++) {
    const value = one[index];
    sumA += value * a[index];
    sumB += value * b[index];
    sumC += value * c[index];
    sumD += value * d[index];
  }
  return [sumA, sumB, sumC, sumD];
}
