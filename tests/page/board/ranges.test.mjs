// How far sums may be trusted.

import assert from "node:assert/strict";
import { test } from "node:test";

import { rangeOf, rangesOf, usedUp } from "../../../web/js/board/ranges.js";

test("ranges of a sum add up like lengths at right angles, each side for itself", () => {
  const ranges = [[1, 2], [4, 3]];
  assert.deepEqual(rangeOf([1, 0], ranges), [1, 2]);
  assert.deepEqual(rangeOf([0, -2], ranges), [1.5, 2]);
  const [back, along] = rangeOf([1, 1], ranges);
  assert.ok(Math.abs(back - 1 / Math.hypot(1, 1 / 4)) < 1e-12);
  assert.ok(Math.abs(along - 1 / Math.hypot(1 / 2, 1 / 3)) < 1e-12);
  assert.equal(usedUp([2, 0], ranges), 1);
  assert.equal(usedUp([-2, 0], ranges), 2);
  assert.equal(usedUp([0, 0], ranges), 0);
});

test("rows have their own ranges, and known rows the typical length", () => {
  const rows = [
    { kind: "direction", scale: 1, range: [1, 3] },
    { kind: "direction", scale: 1, range: [0.5, 2] },
    { kind: "known", scale: 1 },
    { kind: "word", scale: 1, range: [9, 8] },
  ];
  const metric = [[1, 0, 0], [0, 4, 0], [0, 0, 9]]; // lengths 1, 2 and 3
  // The ends are at the lengths 1, 3, 1 and 4. The greater of the middle ones is 3.
  assert.deepEqual(rangesOf(rows, metric), [[1, 3], [0.5, 2], [1, 1], [9, 8]]);
});

test("without a metric all moves are equally long, and without directions there is a range too", () => {
  assert.deepEqual(rangesOf([{ kind: "direction", range: [2, 2] }, { kind: "known" }]), [[2, 2], [2, 2]]);
  assert.deepEqual(rangesOf([{ kind: "known" }]), [[1, 1]]);
});
