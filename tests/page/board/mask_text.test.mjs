// Masks as text and back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { gridWeights, maskToText, partOf, textToGrid, textToMask } from "../../../web/js/board/mask_text.js";
import { noise } from "./fake.mjs";

/** A mask that is 255 inside a rectangle. */
function rectangle(width, height, [left, top, right, bottom]) {
  const mask = new Uint8Array(width * height);
  for (let y = top; y < bottom; y++) mask.fill(255, y * width + left, y * width + right);
  return mask;
}

test("a mask of the size of the grid comes back as it was, in 16 levels", () => {
  const mask = Uint8Array.from({ length: 64 * 48 }, (_, at) => 17 * ((at * 7) % 16));
  const text = maskToText(mask, 64, 48);
  assert.match(text, /^64x48:/);
  assert.deepEqual(textToMask(text, 64, 48), mask);
});

test("runs of all lengths come back", () => {
  for (const length of [1, 2, 15, 16, 17, 270, 271, 272, 1000]) {
    const mask = new Uint8Array(64 * 64);
    mask.fill(255, 5, 5 + length);
    assert.deepEqual(textToMask(maskToText(mask, 64, 64), 64, 64), mask, `a run of ${length}`);
  }
});

test("a soft mask of another size comes back to half a level, away from its edges", () => {
  const mask = Uint8Array.from({ length: 300 * 200 }, (_, at) => ((at % 300) * 255) / 299);
  const back = textToMask(maskToText(mask, 300, 200), 300, 200);
  for (let x = 10; x < 290; x++) {
    assert.ok(Math.abs(back[100 * 300 + x] - mask[100 * 300 + x]) < 255 / 30 + 3);
  }
});

test("the middle of a rectangle stays inside and the outside stays outside", () => {
  const mask = rectangle(512, 512, [200, 100, 300, 180]);
  const back = textToMask(maskToText(mask, 512, 512), 512, 512);
  assert.equal(back[140 * 512 + 250], 255);
  assert.equal(back[140 * 512 + 180], 0);
});

test("the text is short: of a painted mask some hundred characters, of any mask a few thousand", () => {
  assert.ok(maskToText(rectangle(512, 512, [100, 100, 300, 300]), 512, 512).length < 500);
  const worst = Uint8Array.from(noise(64 * 64, 3), (value) => value + 128);
  assert.ok(maskToText(worst, 64, 64).length <= 6 + (4 / 3) * 64 * 64 + 3);
});

test("an empty mask has an empty text", () => {
  assert.equal(maskToText(new Uint8Array(100), 10, 10), "");
  assert.equal(textToMask("", 10, 10), null);
});

test("other texts are no masks", () => {
  const good = maskToText(rectangle(64, 64, [3, 3, 60, 60]), 64, 64);
  assert.ok(textToGrid(good));
  const foreign = [
    undefined, null, 3, {}, "64x64", "64x64:", "0x64:AAAA", "65x64:AAAA", "99x99:AAAA", "-1x4:AAAA",
    `${good}AAAA`, good.slice(0, -4), good.slice(0, -1), good.replace("64x64", "64x63"), "1x1:////", "1x1:A===",
    `8x8:${btoa(String.fromCharCode(0x3f))}`, // a long run whose second byte is missing
  ];
  for (const text of foreign) assert.equal(textToGrid(text), null, String(text));
});

test("a grid counts from 0 to 1, in any size", () => {
  const grid = textToGrid(maskToText(Uint8Array.of(255, 0, 0, 255), 2, 2));
  assert.deepEqual([...gridWeights(grid, 2, 2)], [1, 0, 0, 1]);
  assert.deepEqual([...gridWeights(grid, 1, 1)], [0.5]);
});

/** The part of a 64 x 32 picture for a painted rectangle, in cells. */
function partOfRectangle(corners) {
  const part = partOf(maskToText(rectangle(64, 32, corners), 64, 32));
  const cells = [64 * part.left, 32 * part.top, 64 * part.width, 32 * part.height];
  return cells.map((value) => Math.round(10 * value) / 10);
}

test("the part that is shown for a mask is a square around it, within the picture", () => {
  assert.deepEqual(partOfRectangle([22, 10, 42, 20]), [18, 1, 28, 28]);
  assert.deepEqual(partOfRectangle([0, 0, 20, 10]), [0, 0, 28, 28]);
  assert.deepEqual(partOfRectangle([30, 15, 32, 17]), [23, 8, 16, 16]); // not too near
  assert.deepEqual(partOfRectangle([2, 2, 60, 30]), [0, 0, 64, 32]);
  assert.equal(partOf(""), null);
});
