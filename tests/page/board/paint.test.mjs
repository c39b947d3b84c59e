// Painting a mask with a soft round brush.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isPainted, stamp, stroke } from "../../../web/js/board/paint.js";

const SIZE = 21;
const MIDDLE = /** @type {[number, number]} */ ([10.5, 10.5]);
const HARD = { radius: 5, softness: 0, erase: false };
const SOFT = { ...HARD, softness: 1 };

/** A mask with nothing painted. */
function empty() {
  return new Uint8Array(SIZE * SIZE);
}

/** The levels of the line through the middle. */
function acrossOf(mask) {
  return [...mask.slice(10 * SIZE, 11 * SIZE)];
}

test("a hard stamp is full up to its radius, and nothing is beyond it", () => {
  const mask = empty();
  stamp(mask, SIZE, SIZE, MIDDLE, HARD);
  const across = acrossOf(mask);
  assert.deepEqual(across.slice(6, 15), Array(9).fill(255));
  assert.equal(across[4], 0);
  assert.equal(across[16], 0);
});

test("a soft stamp fades from its middle to its radius, alike on both sides", () => {
  const mask = empty();
  stamp(mask, SIZE, SIZE, MIDDLE, SOFT);
  const across = acrossOf(mask);
  assert.equal(across[10], 255);
  assert.deepEqual(across, across.toReversed());
  for (let column = 11; column < 15; column++) assert.ok(across[column] < across[column - 1]);
});

test("strokes do not add up where they cross, and none goes beyond the mask", () => {
  const [once, twice] = [empty(), empty()];
  stroke(once, SIZE, SIZE, [-5, 10], [30, 10], SOFT);
  stroke(twice, SIZE, SIZE, [-5, 10], [30, 10], SOFT);
  stroke(twice, SIZE, SIZE, [30, 10], [-5, 10], SOFT);
  assert.deepEqual(twice, once);
});

test("a stroke has no gaps, however far apart its ends are", () => {
  const mask = empty();
  stroke(mask, SIZE, SIZE, [0, 10.5], [SIZE, 10.5], HARD);
  assert.deepEqual(acrossOf(mask), Array(SIZE).fill(255));
});

test("erasing takes away what was painted", () => {
  const mask = empty();
  stamp(mask, SIZE, SIZE, MIDDLE, HARD);
  assert.ok(isPainted(mask));
  stamp(mask, SIZE, SIZE, MIDDLE, { ...HARD, radius: 8, erase: true });
  assert.ok(!isPainted(mask));
  assert.ok(!isPainted(null));
});
