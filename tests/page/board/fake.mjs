// Pictures of a board made by formulas, for tests. Node has no ImageData, so there is a stand-in.

import { BoardPictures } from "../../../web/js/board/pictures.js";

/** What the page's ImageData is to the engine: a size and bytes. */
class Pixels {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.data = new Uint8ClampedArray(4 * width * height);
  }
}
globalThis.ImageData ??= Pixels;

/** An empty picture. */
export function emptyImage(width, height) {
  return new globalThis.ImageData(width, height);
}

/** Whole numbers from -127 to 127 that look random: of a linear congruence, the same on every machine. */
export function noise(count, seed) {
  const values = new Int8Array(count);
  let state = seed;
  for (let index = 0; index < count; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    values[index] = ((state >>> 16) % 255) - 127;
  }
  return values;
}

/** A row of a board. */
export function row(kind = "direction", scale = 0.1, name = "", range = [1, 1]) {
  return { kind, name, scale, range, colour: false };
}

/** A board whose changes are noise: `directions` directions, then words. */
export function noisyBoard({ width = 8, height = 6, directions = 3, words = 0, metric = undefined } = {}) {
  const rows = [];
  for (let index = 0; index < directions + words; index++) {
    rows.push(row(index < directions ? "direction" : "word", 0.1 + 0.05 * index, `row ${index}`));
  }
  const before = Uint8Array.from(noise(3 * width * height, 99), (value) => value + 128);
  const changes = rows.map((_, index) => noise(3 * width * height, index + 1));
  return new BoardPictures(width, height, rows, before, changes, metric);
}
