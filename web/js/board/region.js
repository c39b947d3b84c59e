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
/** @typedef {import("./types.js").Row} Row */

/**
 * `weights`: what strength 1 adds to the strength of each row of the board. `inside`: the share of its change
 * that lies inside the mask.
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
 * The directions of largest share inside a mask, the best first. The mask is a text, because then the
 * directions of a region that is read from a state are the same as when it was painted.
 * @param {BoardPictures} pictures
 * @param {string} mask - see `maskToText`
 * @param {number} [count] - at most so many; none that is far less local than the best is among them
 * @returns {RegionDirection[]} none where the mask is empty, or directions do nothing
 */
export function regionDirections(pictures, mask, count = 4) {
  const small = pictures.small(GRID);
  const grid = textToGrid(mask);
  const used = pictures.directions;
  if (!used || !grid) return [];
  const weights = gridWeights(grid, small.width, small.height);
  const all = corner(pictures.gram(), used);
  const inside = corner(small.gram(weights), used);
  if (!all.some((row, i) => row[i] > 0)) return [];
  const known = orthonormalMoves(pictures.metric ?? identity(used));
  const mixtures = multiply(mostInside(seenBy(known, all), seenBy(known, inside), count), known);
  const found = mixtures.map((mixture) => {
    const ofRows = new Float64Array(pictures.rows.length);
    ofRows.set(mixture);
    const factor = signOf(small.change(ofRows)) / strengthOf(mixture, all);
    const share = dot(multiply([mixture], inside)[0], mixture) / dot(multiply([mixture], all)[0], mixture);
    return { weights: ofRows.map((weight) => weight * factor), inside: Math.min(1, Math.max(0, share)) };
  });
  return found.sort((one, other) => other.inside - one.inside);
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
 * @param {Float64Array[]} all - n x n, energies of the changes of orthonormal vectors
 * @param {Float64Array[]} inside - n x n, their energies inside the mask
 * @param {number} count
 * @returns {Float64Array[]} r x n
 */
function mostInside(all, inside, count) {
  const mean = all.reduce((sum, row, i) => sum + row[i], 0) / all.length;
  const steadied = all.map((row, i) => row.map((value, j) => (i === j ? value + WEAK * mean : value)));
  // In these mixtures the steadied energy is the identity, so eigenvalues of the energy inside are shares.
  const even = orthonormalMixtures(steadied, 0);
  const { values, vectors } = symmetricEigen(seenBy(even, inside));
  const local = vectors.filter((_, index) => index === 0 || values[index] >= LOCAL * values[0]);
  return multiply(local.slice(0, count), even);
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
  return Math.sqrt(dot(multiply([mixture], units)[0], mixture));
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

/**
 * The first rows and columns of a matrix.
 * @param {Float64Array[]} matrix
 * @param {number} size
 * @returns {Float64Array[]} size x size
 */
function corner(matrix, size) {
  return matrix.slice(0, size).map((row) => row.slice(0, size));
}

/**
 * The strengths up to which a mixture is what the sum of its parts foretells. Each part uses up a share of
 * its own range, and the shares add up like lengths at right angles, as the directions are at right angles.
 * @param {ArrayLike<number>} weights - what strength 1 adds to the strength of each row
 * @param {Row[]} rows
 * @returns {[number, number]} the negative and the positive end, both above 0
 */
export function rangeOf(weights, rows) {
  return [1 / usedUp(weights, rows, -1), 1 / usedUp(weights, rows, 1)];
}

/**
 * How much of their linear range a setting takes. Above 1 the preview will not hold.
 * @param {ArrayLike<number>} amounts - strengths of the rows
 * @param {Row[]} rows
 * @param {number} [sign] - -1 for the opposite setting
 * @returns {number}
 */
export function usedUp(amounts, rows, sign = 1) {
  const shares = rows.map((row, i) => (sign * amounts[i]) / row.range[sign * amounts[i] < 0 ? 0 : 1]);
  return Math.hypot(...shares);
}
