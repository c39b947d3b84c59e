// Enlarging small pictures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Enlarger } from "../../../web/js/board/enlarge.js";
import { emptyImage } from "./fake.mjs";

/** A picture of this level at each place, in all colours. */
function picture(width, height, levelAt) {
  const image = emptyImage(width, height);
  for (let at = 0; at < width * height; at++) {
    image.data.fill(levelAt(at % width, Math.floor(at / width)), 4 * at);
  }
  return image;
}

test("a small picture gets four times as many pixels each way, and an even one stays even", () => {
  const large = new Enlarger(5, 3).enlarge(picture(5, 3, () => 77));
  assert.deepEqual([large.width, large.height], [20, 12]);
  assert.ok(large.data.every((value, at) => value === (at % 4 === 3 ? 255 : 77)));
});

test("a ramp stays a ramp between the borders, along lines and columns alike", () => {
  const across = new Enlarger(8, 8).enlarge(picture(8, 8, (x) => 20 * x)).data.slice();
  const down = new Enlarger(8, 8).enlarge(picture(8, 8, (_, y) => 20 * y)).data;
  for (let place = 8; place < 24; place++) {
    const wanted = Math.round(20 * ((place + 0.5) / 4 - 0.5));
    assert.ok(Math.abs(across[4 * (32 * 16 + place)] - wanted) <= 1);
    assert.equal(down[4 * (32 * place + 16)], across[4 * (32 * 16 + place)]);
  }
});

test("an edge is crisper than a straight line between its sides", () => {
  const large = new Enlarger(8, 1).enlarge(picture(8, 1, (x) => (x < 4 ? 50 : 150)));
  const edge = [...Array(8).keys()].map((place) => large.data[4 * (12 + place)]);
  assert.ok(edge[7] > 150 && edge[0] < 50, String(edge));
});

test("a large picture stays as it is", () => {
  const image = picture(129, 2, () => 1);
  assert.equal(new Enlarger(129, 2).enlarge(image), image);
});
