// The sums of pictures, against the formula before + sum of amount * scale * value, pixel by pixel.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BoardPictures } from "../../../web/js/board/pictures.js";
import { changeOf, coloursOf, greyOf } from "../../../web/js/board/loading.js";
import { emptyImage, noisyBoard, row } from "./fake.mjs";

/** The picture by the formula, one number at a time, in the precision of JavaScript's numbers. */
function expected(pictures, amounts) {
  const data = new Uint8ClampedArray(4 * pictures.width * pictures.height).fill(255);
  for (let index = 0; index < pictures.before.length; index++) {
    let sum = pictures.before[index];
    pictures.rows.forEach(({ scale }, at) => (sum += amounts[at] * scale * pictures.changes[at][index]));
    data[4 * Math.floor(index / 3) + (index % 3)] = sum;
  }
  return data;
}

/** That two pictures are the same up to rounding: no byte differs by more than 1, and few differ at all. */
function assertSame(found, wanted) {
  let differing = 0;
  for (let index = 0; index < wanted.length; index++) {
    const difference = Math.abs(found[index] - wanted[index]);
    assert.ok(difference <= 1, `byte ${index}: ${found[index]} instead of ${wanted[index]}`);
    differing += difference;
  }
  assert.ok(differing <= wanted.length / 100, `${differing} of ${wanted.length} bytes differ`);
}

// Numbers of rows that are used: none, fewer than four, four, and more.
for (const amounts of [[], [0, 0, 1], [1, -2, 0.5, 3], [0.3, -1, 2, 0.1, -0.7, 1.5], [0, 0, 0, 0, 0, -2]]) {
  test(`a setting of ${JSON.stringify(amounts)} is composed`, () => {
    const pictures = noisyBoard({ directions: 6 });
    const all = Float64Array.from({ length: 6 }, (_, index) => amounts[index] ?? 0);
    const image = emptyImage(8, 6);
    pictures.compose(all, image);
    assertSame(image.data, expected(pictures, all));
  });
}

test("one slider that moves gives the whole setting at every amount, and changes no picture", () => {
  const pictures = noisyBoard({ directions: 5, words: 1 });
  const still = Float64Array.of(0.5, 0, -1, 0, 0.2, 1);
  const weights = Float64Array.of(0.1, 0.9, -0.3, 0, 0, 0); // of a region: several rows at once
  const held = pictures.hold(still, weights);
  const image = emptyImage(8, 6);
  for (const amount of [2, -3, 0, 0.25]) {
    held.at(amount, image);
    const amounts = still.map((value, index) => value + amount * weights[index]);
    assertSame(image.data, expected(pictures, amounts));
  }
  const untouched = emptyImage(8, 6);
  pictures.compose(new Float64Array(6), untouched);
  assert.deepEqual(untouched.data, expected(pictures, new Float64Array(6)));
});

test("colours that do not exist are cut off, not wrapped", () => {
  const pictures = new BoardPictures(1, 1, [row("direction", 2)], Uint8Array.of(250, 5, 100), [
    Int8Array.of(127, -128, 0),
  ]);
  const image = emptyImage(1, 1);
  pictures.compose(Float64Array.of(1), image);
  assert.deepEqual([...image.data], [255, 0, 100, 255]);
});

test("a thumbnail is the average of areas of the sum", () => {
  const pictures = noisyBoard({ width: 8, height: 4, directions: 2 });
  const amounts = Float64Array.of(0.2, -0.3);
  const small = pictures.thumbnail(amounts, 4);
  assert.deepEqual([small.width, small.height], [4, 2]);
  for (let y = 0; y < 2; y++) {
    for (let x = 0; x < 4; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (const [dy, dx] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
          const at = 3 * ((2 * y + dy) * 8 + 2 * x + dx) + channel;
          sum += pictures.before[at];
          pictures.rows.forEach(({ scale }, index) => {
            sum += amounts[index] * scale * pictures.changes[index][at];
          });
        }
        const wanted = Math.min(255, Math.max(0, sum / 4));
        assert.ok(Math.abs(small.data[4 * (4 * y + x) + channel] - wanted) <= 0.501);
      }
    }
  }
});

test("a close-up is a part of a thumbnail", () => {
  const pictures = noisyBoard({ directions: 1 });
  const amounts = Float64Array.of(0.5);
  const whole = pictures.thumbnail(amounts, 64); // 8 x 6
  const part = pictures.closeUp(amounts, 64, { left: 0.5, top: 1 / 3, width: 0.25, height: 0.5 });
  assert.deepEqual([part.width, part.height], [2, 3]);
  for (const [x, y] of [[0, 0], [1, 0], [1, 2]]) {
    const [from, at] = [4 * (8 * (2 + y) + 4 + x), 4 * (2 * y + x)];
    assert.deepEqual(part.data.slice(at, at + 4), whole.data.slice(from, from + 4));
  }
  const corner = pictures.closeUp(amounts, 64, { left: 0.95, top: 0.95, width: 0.25, height: 0.25 });
  assert.deepEqual([corner.width, corner.height], [1, 1]);
});

test("a thumbnail is never larger than the pictures", () => {
  const { width, height } = noisyBoard().thumbnail(new Float64Array(3), 100);
  assert.deepEqual([width, height], [8, 6]);
});

test("known rows may be smaller: they are enlarged, smooth between their pixels", () => {
  const rows = [row("direction", 0.5), row("known", 2)];
  const changes = [new Int8Array(4 * 3).fill(10), Int8Array.of(0, 8, -8, 16, 24, 8)]; // 4 x 1, and 2 x 1
  const before = new Uint8Array(4 * 3).fill(100);
  const pictures = new BoardPictures(4, 1, rows, before, changes, undefined, [2, 1]);
  const image = emptyImage(4, 1);
  pictures.compose(Float64Array.of(1, 0.5), image);
  const red = [0, 4, 12, 16].map((value) => 105 + value);
  assert.deepEqual([...image.data].filter((_, at) => at % 4 === 0), red);
  assert.deepEqual([...image.data.slice(0, 4)], [105, 113, 97, 255]);
  pictures.hold(Float64Array.of(1, 0), Float64Array.of(0, 1)).at(0.5, image);
  assert.deepEqual([...image.data].filter((_, at) => at % 4 === 0), red);
  assert.deepEqual([...pictures.thumbnail(Float64Array.of(1, 0.5), 2).data.slice(0, 3)], [105, 113, 97]);
});

test("a thumbnail that is larger than the known rows has them enlarged", () => {
  const before = new Uint8Array(12);
  const pictures = new BoardPictures(4, 1, [row("known", 1)], before, [Int8Array.of(0, 8, 8, 16, 24, 8)],
    undefined, [2, 1]);
  const { data } = pictures.thumbnail(Float64Array.of(1), 4);
  assert.deepEqual([...data].filter((_, at) => at % 4 === 0), [0, 4, 12, 16]);
});

test("inner products count pixels by their weights", () => {
  const small = noisyBoard({ directions: 2 }).small(64);
  const weights = Float32Array.from({ length: 48 }, (_, pixel) => (pixel % 3) / 2);
  let sum = 0;
  small.changeOf(0).forEach((value, index) => {
    sum += value * small.changeOf(1)[index] * weights[Math.floor(index / 3)];
  });
  const products = small.gram(2, weights);
  assert.ok(Math.abs(products[0][1] - sum) < 1e-4 * products[0][0]);
  assert.equal(products[0][1], products[1][0]);
});

test("the inner products of the changes are in levels", () => {
  const pictures = noisyBoard({ directions: 2, words: 1 });
  const products = pictures.small(64).gram(3);
  pictures.rows.forEach((one, i) => pictures.rows.forEach((other, j) => {
    let sum = 0;
    pictures.changes[i].forEach((value, index) => {
      sum += one.scale * value * other.scale * pictures.changes[j][index];
    });
    assert.ok(Math.abs(products[i][j] - sum) < 1e-5 * Math.abs(products[i][i]));
  }));
  assert.equal(pictures.directions, 2);
});

test("pixels are read as colours, as changes around 128, and as a mask", () => {
  const pixels = Uint8ClampedArray.of(0, 128, 255, 255, 1, 127, 129, 255);
  assert.deepEqual([...coloursOf(pixels)], [0, 128, 255, 1, 127, 129]);
  assert.deepEqual([...changeOf(pixels)], [-128, 0, 127, -127, -1, 1]);
  assert.deepEqual([...greyOf(pixels)], [0, 1]);
});
