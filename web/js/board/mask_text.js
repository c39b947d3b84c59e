// A painted region as a short text, for the state of a board, and back.
//
// The text holds the mask on a coarse grid in 16 levels, as runs of equal levels: "WIDTHxHEIGHT:" and bytes
// in base64. A byte has a level in its upper half, and the length of the run less 1 in its lower half. A 15
// in the lower half means that the next byte adds to it, so a run has at most 16 + 255 cells.

import { averages, placesBetween, sizeWithin } from "./averages.js";

/**
 * @typedef {{width: number, height: number, levels: Uint8Array}} Grid
 *
 * A part of a picture: its corner and its size, as shares of the picture's width and height.
 * @typedef {{left: number, top: number, width: number, height: number}} Part
 */

// The long edge of the grid: that of the latent of a picture of 512 pixels, and of the bundled faces. Python
// measures in latents what is inside a mask.
export const GRID = 64;
const LEVELS = 15;
const SHORT = 15; // runs up to this length take one byte
const ROOM = 1.4; // of what is painted, the part of a picture that is shown for it
const SMALLEST = 0.25; // of the long edge of the picture: smaller parts would be blurs
const LONGEST = SHORT + 1 + 255;
const FORM = /^(\d{1,2})x(\d{1,2}):([A-Za-z0-9+/]*={0,2})$/;

/**
 * A mask as text.
 * @param {Uint8Array} mask - height x width, 255 inside
 * @param {number} width
 * @param {number} height
 * @returns {string} "" for a mask that is empty
 */
export function maskToText(mask, width, height) {
  const [columns, lines] = sizeWithin(width, height, GRID);
  const cells = averages(mask, width, height, 1, columns, lines);
  const levels = Uint8Array.from(cells, (value) => Math.round((value * LEVELS) / 255));
  if (!levels.some((level) => level > 0)) return "";
  return `${columns}x${lines}:${btoa(String.fromCharCode(...runsOf(levels)))}`;
}

/**
 * The bytes of the runs of equal levels.
 * @param {Uint8Array} levels
 * @returns {number[]}
 */
function runsOf(levels) {
  const bytes = [];
  for (let start = 0; start < levels.length; ) {
    let length = 1;
    while (length < LONGEST && levels[start + length] === levels[start]) length++;
    const level = levels[start] << 4;
    if (length <= SHORT) bytes.push(level | (length - 1));
    else bytes.push(level | SHORT, length - SHORT - 1);
    start += length;
  }
  return bytes;
}

/**
 * The grid that a text holds.
 * @param {unknown} text
 * @returns {Grid | null} null where it is no such text
 */
export function textToGrid(text) {
  const found = typeof text === "string" ? FORM.exec(text) : null;
  if (!found) return null;
  const [width, height] = [Number(found[1]), Number(found[2])];
  if (width < 1 || height < 1 || width > GRID || height > GRID) return null;
  const levels = levelsOf(bytesOf(found[3]), width * height);
  return levels ? { width, height, levels } : null;
}

/**
 * The bytes of a text in base64.
 * @param {string} text
 * @returns {Uint8Array} empty where the text is not well formed
 */
function bytesOf(text) {
  if (text.length % 4) return new Uint8Array();
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * The levels of runs.
 * @param {Uint8Array} bytes
 * @param {number} count - how many there must be
 * @returns {Uint8Array | null} null where there is another number
 */
function levelsOf(bytes, count) {
  const levels = new Uint8Array(count);
  let end = 0;
  for (let index = 0; index < bytes.length; index++) {
    const level = bytes[index] >> 4;
    let length = (bytes[index] & 15) + 1;
    if (length > SHORT) {
      index++;
      length += bytes[index]; // NaN where the text ends too early
    }
    if (!(end + length <= count)) return null;
    levels.fill(level, end, end + length);
    end += length;
  }
  return end === count ? levels : null;
}

/**
 * A mask of a text, smooth between the cells of its grid.
 * @param {unknown} text
 * @param {number} width
 * @param {number} height
 * @returns {Uint8Array | null} height x width, 255 inside; null where it is no such text
 */
export function textToMask(text, width, height) {
  const grid = textToGrid(text);
  if (!grid) return null;
  const mask = new Uint8Array(width * height);
  const [columns, lines] = [placesBetween(width, grid.width), placesBetween(height, grid.height)];
  for (let y = 0; y < height; y++) {
    const [upper, lower] = [grid.width * lines.first[y], grid.width * lines.second[y]];
    for (let x = 0; x < width; x++) {
      const [left, right, way] = [columns.first[x], columns.second[x], columns.way[x]];
      const above = between(grid.levels[upper + left], grid.levels[upper + right], way);
      const below = between(grid.levels[lower + left], grid.levels[lower + right], way);
      mask[y * width + x] = Math.round((255 / LEVELS) * between(above, below, lines.way[y]));
    }
  }
  return mask;
}

/**
 * A value on the way from one to another.
 * @param {number} one
 * @param {number} other
 * @param {number} way - 0 at the one, 1 at the other
 * @returns {number}
 */
function between(one, other, way) {
  return one + way * (other - one);
}

/**
 * What each cell of a grid counts, in the size of other cells.
 * @param {Grid} grid
 * @param {number} width
 * @param {number} height
 * @returns {Float32Array} height x width, from 0 to 1
 */
export function gridWeights(grid, width, height) {
  return averages(grid.levels, grid.width, grid.height, 1, width, height).map((level) => level / LEVELS);
}

/**
 * The part of a picture to show for a mask: what is painted, with some room around it.
 * @param {string} text - of the mask
 * @returns {Part | null} null where nothing is painted
 */
export function partOf(text) {
  const grid = textToGrid(text);
  if (!grid) return null;
  const { width, height, levels } = grid;
  const painted = [...levels.keys()].filter((cell) => levels[cell] > LEVELS / 2);
  if (!painted.length) return null;
  const columns = painted.map((cell) => cell % width);
  const lines = painted.map((cell) => Math.floor(cell / width));
  const [left, right] = [Math.min(...columns), Math.max(...columns) + 1];
  const [top, bottom] = [Math.min(...lines), Math.max(...lines) + 1];
  // A square, unless the picture is narrower than that.
  const edge = Math.max(ROOM * (right - left), ROOM * (bottom - top), SMALLEST * Math.max(width, height));
  const [across, down] = [Math.min(edge, width), Math.min(edge, height)];
  const from = Math.min(width - across, Math.max(0, (left + right - across) / 2));
  const above = Math.min(height - down, Math.max(0, (top + bottom - down) / 2));
  return { left: from / width, top: above / height, width: across / width, height: down / height };
}
