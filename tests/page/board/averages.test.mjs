// Averages of areas, against values that torch gives.

import assert from "node:assert/strict";
import { test } from "node:test";

import { averages, sizeWithin } from "../../../web/js/board/averages.js";

/** That numbers agree to the precision of 32 bits. */
function assertClose(found, wanted) {
  assert.equal(found.length, wanted.length);
  wanted.forEach((value, index) => assert.ok(Math.abs(found[index] - value) < 1e-4, `${found} ${wanted}`));
}

// torch.nn.functional.interpolate(values, size=..., mode="area") of values[y, x] = (3 x + 7 y) ** 2 % 50.
const VALUES = Float32Array.from({ length: 5 * 3 }, (_, at) => {
  return (3 * (at % 5) + 7 * Math.floor(at / 5)) ** 2 % 50;
});
const TORCH_2_2 = [
  18.8333, 24.5,
  25.5, 15.1667,
];
const TORCH_3_3 = [
  4.5, 25.3333, 37.5,
  24.5, 8.33333, 8.5,
  42.5, 22.6667, 27.5,
];
const TORCH_7_4 = [
  0, 4.5, 22.5, 36, 33.5, 37.5, 44,
  24.5, 14.5, 16, 27.5, 23, 23, 27.5,
  47.5, 33.5, 14.5, 9.5, 13.5, 18, 18.5,
  46, 42.5, 19.5, 0, 14.5, 27.5, 26,
];

test("the windows are torch's, also where they overlap", () => {
  assertClose(averages(VALUES, 5, 3, 1, 2, 2), TORCH_2_2);
  assertClose(averages(VALUES, 5, 3, 1, 3, 3), TORCH_3_3);
});

test("a picture may grow: cells are repeated, and windows of two cells are averages", () => {
  assertClose(averages(VALUES, 5, 3, 1, 7, 4), TORCH_7_4);
});

test("channels stay apart", () => {
  assertClose(averages(Uint8Array.of(1, 10, 3, 30, 5, 50, 7, 70), 2, 2, 2, 1, 1), [4, 40]);
});

test("the same size has the same values, in an array of its own", () => {
  const same = averages(VALUES, 5, 3, 1, 5, 3);
  assert.deepEqual(same, VALUES);
  assert.notEqual(same, VALUES);
});

test("sizes keep the form of the picture, and small pictures stay", () => {
  assert.deepEqual(sizeWithin(512, 384, 64), [64, 48]);
  assert.deepEqual(sizeWithin(300, 512, 64), [38, 64]);
  assert.deepEqual(sizeWithin(40, 20, 64), [40, 20]);
  assert.deepEqual(sizeWithin(1000, 3, 64), [64, 1]);
});
