// Directions that change the picture inside a painted region, made of those of the board. Nothing is run.
//
// A mixture c of the directions changes the picture by sum c_i change_i. The share of the energy of this
// change that lies inside a mask is known for every c, so the mixtures of largest share are found by one
// eigenproblem. The formula is that of pullback_core/directions/masks.py, and so are its constants. The order
// differs: masked_basis turns the mixtures within their span, by response. Here each is as local as it can
// be, and the most local one comes first.

import { dot, identity, multiply, orthonormalMixtures, seenBy, symmetricEigen } from "./eigen.js";
import { GRID, gridWeights, textToGrid } from "./mask_text.js";

/** @typedef {import("./pictures.js").BoardPictures} BoardPictures */

/**
 * `weights`: what strength 1 adds to the strength of each row of the board. It is a change of one unit by the
 * area of the mask: what it changes lies there, and is as strong as a unit is in the whole picture. `inside`:
 * the share of its change that lies inside the mask.
 * @typedef {{weights: Float64Array, inside: number}} RegionDirection
 */

export const LEAST = 0.5; // a smaller share inside says that most of the change lies outside the mask
const WEAK = 3e-4; // as in pullback_core/directions/masks.py
const DEPENDENT = 1e-4; // as in pullback_core/linalg/orthonormal.py
// The least share inside, as a part of that of the best. On a bundled face with 16 directions it gives eight
// directions for one half of the picture, five for the eyes (0.75 to 0.29), and three for the mouth (0.53 to
// 0.14).
const LOCAL = 0.25;

/**
 * What is the same for every mask. `all`: energies of the changes at strength 1. `even`: mixtures whose
 * energies, steadied, are the identity.
 * @typedef {{all: Float64Array[], even: Float64Array[]}} Space
 */

/** @type {WeakMap<BoardPictures, Space>} */
const spaces = new WeakMap();

/**
 * The directions of largest share inside a mask, the best first. The mask is a text, because then the
 * directions of a region that is read from a state are the same as when it was painted.
 * @param {BoardPictures} pictures
 * @param {string} mask - see `maskToText`
 * @param {number} [count] - at most so many; none that is far less local than the best is among them
 * @returns {RegionDirection[]} none where the mask is empty, or directions do nothing
 */
export function regionDirections(pictures, mask, count = 4) {
  const grid = textToGrid(mask);
  if (!grid || !pictures.mixed) return [];
  const { all, even } = spaceOf(pictures);
  if (!even.length) return [];
  const small = pictures.small(GRID);
  const weights = gridWeights(grid, small.width, small.height);
  const inside = energiesInside(pictures, weights, all);
  // A change of one unit in a small region is a small change of the picture.
  const unit = Math.sqrt(weights.reduce((sum, weight) => sum + weight, 0) / weights.length);
  const found = mostInside(even, inside, count).map((mixture) => {
    const ofRows = new Float64Array(pictures.rows.length);
    ofRows.set(mixture);
    const factor = (unit * signOf(small.change(ofRows))) / strengthOf(mixture, all);
    const share = energyOf(mixture, inside) / energyOf(mixture, all);
    return { weights: ofRows.map((one) => one * factor), inside: Math.min(1, Math.max(0, share)) };
  });
  return found.sort((one, other) => other.inside - one.inside);
}

/**
 * What can be done ahead of time, in small pieces, so that the first stroke is as quick as the others.
 * @param {BoardPictures} pictures
 * @param {number} closeUp - the long edge of the pictures that are shown of regions
 * @returns {(() => unknown)[]}
 */
export function preparations(pictures, closeUp) {
  if (!pictures.mixed) return [];
  const pieces = [];
  for (const size of [GRID, closeUp]) {
    for (let row = 0; row < pictures.mixed; row++) pieces.push(() => pictures.small(size).changeOf(row));
  }
  return [...pieces, () => spaceOf(pictures)];
}

/**
 * What is the same for every mask. It is found once.
 * @param {BoardPictures} pictures
 * @returns {Space}
 */
function spaceOf(pictures) {
  const made = spaces.get(pictures);
  if (made) return made;
  const all = pictures.small(GRID).gram(pictures.mixed);
  const known = orthonormalMoves(pictures.metric ?? identity(pictures.mixed));
  const energies = seenBy(known, all);
  const mean = energies.reduce((sum, row, i) => sum + row[i], 0) / energies.length;
  energies.forEach((row, i) => (row[i] += WEAK * mean));
  const space = { all, even: mean > 0 ? multiply(orthonormalMixtures(energies, 0), known) : [] };
  spaces.set(pictures, space);
  return space;
}

/**
 * The energies of the changes inside a mask. What is not inside is outside, so the smaller part is measured.
 * @param {BoardPictures} pictures
 * @param {Float32Array} weights - of the mask on the grid
 * @param {Float64Array[]} all - the energies everywhere
 * @returns {Float64Array[]}
 */
function energiesInside(pictures, weights, all) {
  const small = pictures.small(GRID);
  const inside = weights.filter((weight) => weight > 0).length;
  const outside = weights.filter((weight) => weight < 1).length;
  if (inside <= outside) return small.gram(pictures.mixed, weights);
  const rest = small.gram(pictures.mixed, weights.map((weight) => 1 - weight));
  return all.map((row, i) => row.map((value, j) => value - rest[i][j]));
}

/**
 * The mixtures of directions whose moves are orthonormal.
 * @param {ArrayLike<number>[]} metric - n x n, inner products of the moves along the directions at strength 1
 * @returns {Float64Array[]} r x n, strengths of the directions
 */
function orthonormalMoves(metric) {
  const lengths = metric.map((row, i) => Math.sqrt(row[i]));
  const cosines = metric.map((row, i) => {
    return Float64Array.from(row, (value, j) => value / (lengths[i] * lengths[j]));
  });
  const mixtures = orthonormalMixtures(cosines, DEPENDENT);
  return mixtures.map((mixture) => mixture.map((weight, i) => weight / lengths[i]));
}

/**
 * The mixtures of largest share inside.
 * @param {Float64Array[]} even - mixtures whose steadied energies are the identity
 * @param {Float64Array[]} inside - the energies of the changes inside the mask
 * @param {number} count
 * @returns {Float64Array[]} r x n
 */
function mostInside(even, inside, count) {
  const { values, vectors } = symmetricEigen(seenBy(even, inside)); // the values are the shares
  const local = vectors.filter((_, index) => index === 0 || values[index] >= LOCAL * values[0]);
  return multiply(local.slice(0, count), even);
}

/**
 * The energy of what a mixture changes.
 * @param {Float64Array} mixture
 * @param {Float64Array[]} energies - inner products of the changes
 * @returns {number}
 */
function energyOf(mixture, energies) {
  return dot(multiply([mixture], energies)[0], mixture);
}

/**
 * The strength of a mixture of directions: each of them changes the picture by one unit at strength 1.
 * @param {Float64Array} mixture - strengths
 * @param {Float64Array[]} energies - inner products of the changes at strength 1
 * @returns {number}
 */
function strengthOf(mixture, energies) {
  const sizes = energies.map((row, i) => Math.sqrt(row[i]) || 1);
  const units = energies.map((row, i) => row.map((value, j) => value / (sizes[i] * sizes[j])));
  return Math.sqrt(energyOf(mixture, units));
}

/**
 * The sign with which a change adds more than it takes, as in rotated bases.
 * @param {Float32Array} change
 * @returns {number} 1 or -1
 */
function signOf(change) {
  let sum = 0;
  for (let index = 0; index < change.length; index++) sum += change[index] * change[index] * change[index];
  return sum < 0 ? -1 : 1;
}

export { rangeOf, usedUp } from "./ranges.js";
