// Directions inside a painted region. tests/test_page_modules.py compares them with Python's.

import assert from "node:assert/strict";
import { test } from "node:test";

import { maskToText } from "../../../web/js/board/mask_text.js";
import { BoardPictures } from "../../../web/js/board/pictures.js";
import { preparations, regionDirections } from "../../../web/js/board/region.js";
import { noise, noisyBoard, row } from "./fake.mjs";

const [WIDTH, HEIGHT] = [16, 8];
const INSIDE = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, at) => (at % WIDTH < 8 ? 255 : 0));
const LEFT = maskToText(INSIDE, WIDTH, HEIGHT);
const RIGHT = maskToText(INSIDE.map((value) => 255 - value), WIDTH, HEIGHT);

/** A change that is noise on one side, with `factor` of noise on the other. */
function onLeft(seed, factor = 0) {
  return noise(3 * WIDTH * HEIGHT, seed).map((value, at) => {
    return Math.round(Math.floor(at / 3) % WIDTH < 8 ? value : factor * value);
  });
}

/** A board of changes, each scaled to the same size, as strength 1 is. */
function board(changes, metric, words = 0) {
  const rows = changes.map((change, index) => {
    const size = Math.sqrt(change.reduce((sum, value) => sum + value * value, 0) / change.length);
    return row(index < changes.length - words ? "direction" : "word", 19.125 / size);
  });
  return new BoardPictures(WIDTH, HEIGHT, rows, new Uint8Array(3 * WIDTH * HEIGHT), changes, metric);
}

/** The change of a region's direction at strength 1, in levels of 255. */
function changeOf(pictures, { weights }) {
  return pictures.sum(weights, new Float32Array(3 * WIDTH * HEIGHT));
}

/** The share of the energy of a change on the left. */
function shareOnLeft(change) {
  const energies = [0, 0];
  change.forEach((value, at) => (energies[Math.floor(at / 3) % WIDTH < 8 ? 0 : 1] += value * value));
  return energies[0] / (energies[0] + energies[1]);
}

test("what two directions have in common outside is taken away, and what is said of it is true", () => {
  // Three directions that all change the right side in the same way: their differences change the left alone.
  const common = onLeft(4, 1).map((value, at) => (Math.floor(at / 3) % WIDTH < 8 ? 0 : value));
  const changes = [1, 2, 3].map((seed) => {
    return onLeft(seed).map((value, at) => Math.round(value / 2) + Math.round(common[at] / 2));
  });
  const pictures = board(changes);
  const found = regionDirections(pictures, LEFT);
  for (const direction of found) {
    assert.ok(Math.abs(shareOnLeft(changeOf(pictures, direction)) - direction.inside) < 1e-3);
  }
  assert.deepEqual(found.map(({ inside }) => inside > 0.98), [true, true, false]);
  assert.ok(regionDirections(pictures, RIGHT)[0].inside > 0.6);
});

test("strength 1 is one unit in the area of the mask: of half the picture, a root of a half in all", () => {
  const pictures = board([onLeft(1, 0.2), onLeft(2, 0.3), onLeft(3, 0.9)]);
  for (const direction of regionDirections(pictures, LEFT)) {
    const change = changeOf(pictures, direction);
    const size = Math.sqrt(change.reduce((sum, value) => sum + value * value, 0) / change.length);
    assert.ok(Math.abs(size - 19.125 * Math.SQRT1_2) < 0.02, `${size}`);
  }
});

test("a direction adds more than it takes", () => {
  const dark = onLeft(1).map((value) => -Math.abs(value));
  const pictures = board([dark, onLeft(2)]);
  for (const direction of regionDirections(pictures, LEFT)) {
    assert.ok(changeOf(pictures, direction).reduce((sum, value) => sum + value ** 3, 0) > 0);
  }
});

test("the best comes first, and those that are far less local are left out", () => {
  const pictures = board([onLeft(1, 0.5), onLeft(2, 0.1), onLeft(3, 0.9), onLeft(4, 1)]);
  const shares = regionDirections(pictures, LEFT).map(({ inside }) => inside);
  assert.deepEqual(shares, [...shares].sort((one, other) => other - one));
  assert.ok(shares[0] >= 0.98 && shares.length === 4);
  assert.equal(regionDirections(pictures, LEFT, 2).length, 2);
  const outside = regionDirections(pictures, RIGHT).map(({ inside }) => inside);
  assert.ok(outside[0] > 0.5 && outside.length === 3, `${outside}`);
});

test("directions whose moves are short count more: they come first", () => {
  const [one, other] = [onLeft(1), onLeft(2)];
  const short = (i) => [[i === 0 ? 1 : 100, 0], [0, i === 1 ? 1 : 100]];
  for (const index of [0, 1]) {
    const [first] = regionDirections(board([one, other], short(index)), LEFT);
    assert.ok(Math.abs(first.weights[index]) > 50 * Math.abs(first.weights[1 - index]));
  }
});

test("directions that depend on each other are no obstacle", () => {
  const [one, other] = [onLeft(1, 0.1), onLeft(2, 0.5)];
  const metric = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]; // the third is the first again
  const twice = regionDirections(board([one, other, one], metric), LEFT);
  const once = regionDirections(board([one, other]), LEFT);
  assert.equal(twice.length, once.length);
  once.forEach(({ inside }, index) => assert.ok(Math.abs(inside - twice[index].inside) < 1e-6));
});

test("words take no part", () => {
  const pictures = board([onLeft(1), onLeft(2), onLeft(3)], undefined, 1);
  const found = regionDirections(pictures, LEFT);
  assert.equal(found.length, 2);
  assert.ok(found.every(({ weights }) => weights.length === 3 && weights[2] === 0));
});

test("no mask, no directions, and directions that do nothing give none", () => {
  assert.deepEqual(regionDirections(board([onLeft(1)]), ""), []);
  assert.deepEqual(regionDirections(noisyBoard({ directions: 0, words: 2 }), LEFT), []);
  const nothing = new BoardPictures(16, 8, [row()], new Uint8Array(384), [new Int8Array(384)]);
  assert.deepEqual(regionDirections(nothing, LEFT), []);
});

test("known rows take part, and a mask is the same from inside and from outside", () => {
  const changes = [onLeft(1, 0.9), onLeft(2, 0.8), onLeft(3, 0.1)];
  const plain = board(changes);
  const rows = plain.rows.map((one, index) => ({ ...one, kind: index === 2 ? "known" : "direction" }));
  const pictures = new BoardPictures(WIDTH, HEIGHT, rows, plain.before, changes);
  assert.deepEqual([pictures.directions, pictures.mixed], [2, 3]);
  const large = INSIDE.map((value, at) => (at < WIDTH ? 255 : value)); // more than half of the picture
  for (const mask of [LEFT, maskToText(large, WIDTH, HEIGHT)]) {
    const found = regionDirections(pictures, mask);
    assert.ok(found[0].inside > 0.98 && found[0].weights[2] !== 0);
    assert.deepEqual(found, regionDirections(plain, mask));
  }
  const everywhere = maskToText(INSIDE.map(() => 255), WIDTH, HEIGHT);
  for (const { inside } of regionDirections(pictures, everywhere)) assert.ok(Math.abs(inside - 1) < 1e-9);
});

test("what is done ahead of time changes nothing", () => {
  const changes = [onLeft(1, 0.9), onLeft(2, 0.3)];
  const [prepared, other] = [board(changes), board(changes)];
  for (const piece of preparations(prepared, 8)) piece();
  assert.deepEqual(regionDirections(prepared, LEFT), regionDirections(other, LEFT));
  assert.deepEqual(preparations(noisyBoard({ directions: 0, words: 1 }), 8), []);
});
