// The setting of a board: sliders, region, state, and the way back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BoardModel } from "../../../web/js/board/model.js";
import { BoardPictures } from "../../../web/js/board/pictures.js";
import { noise, row } from "./fake.mjs";

const [WIDTH, HEIGHT] = [16, 8];
const LEFT = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, at) => (at % WIDTH < 8 ? 255 : 0));
const KINDS = ["direction", "direction", "direction", "known", "word"];

/** A board that ran: three directions, one known row and a word. */
function ranBoard(state = "", { id = "a basis", given = null } = {}) {
  const rows = KINDS.map((kind) => ({ ...row(kind, 1), name: kind === "word" ? "smiling" : "" }));
  const changes = rows.map((_, index) => noise(3 * WIDTH * HEIGHT, index + 1));
  const pictures = new BoardPictures(WIDTH, HEIGHT, rows, new Uint8Array(3 * WIDTH * HEIGHT), changes);
  const model = new BoardModel();
  model.load({ id, node: "1", width: WIDTH, height: HEIGHT, rows }, pictures, given, state);
  return model;
}

/** Whether two lists of numbers are the same, to the digits of a state. */
function assertClose(found, wanted) {
  assert.equal(found.length, wanted.length);
  found.forEach((value, index) => assert.ok(Math.abs(value - wanted[index]) < 1e-5, `${found} ${wanted}`));
}

test("directions and words have sliders, known rows have none", () => {
  assert.deepEqual(ranBoard().sliders.map(({ id }) => id), [
    "direction:0", "direction:1", "direction:2", "word:smiling",
  ]);
});

test("a board with nothing set writes an empty state", () => {
  const model = ranBoard();
  model.values.set("direction:0", 1);
  assert.notEqual(model.write(), "");
  model.reset();
  assert.equal(model.write(), "");
});

test("a state that was written is read back: the same strengths at the same sliders", () => {
  const model = ranBoard();
  model.setMask(LEFT);
  for (const [id, value] of [["direction:1", 0.5], ["word:smiling", -1], ["region:0", 1.25]]) {
    model.values.set(id, value);
  }
  const again = ranBoard(model.write());
  assertClose([...again.amounts()], [...model.amounts()]);
  const set = [...again.values].filter(([, value]) => value);
  assert.deepEqual(new Map(set), new Map([["direction:1", 0.5], ["word:smiling", -1], ["region:0", 1.25]]));
});

test("another region leaves the picture as it is: what was set in the one before gets its own slider", () => {
  const model = ranBoard();
  model.setMask(LEFT);
  model.values.set("direction:0", 1);
  model.values.set("region:0", 2);
  const before = [...model.amounts()];
  assert.ok(before[3] !== 0, "the region uses the known row");
  model.setMask(null);
  assertClose([...model.amounts()], before);
  assert.equal(model.values.get("direction:0"), 1);
  assert.equal(model.values.get("rest"), 1);
  assertClose([...ranBoard(model.write()).amounts()], before);
});

test("the state of another basis sets nothing", () => {
  const model = ranBoard();
  model.values.set("direction:0", 1);
  assert.ok(!ranBoard(model.write(), { id: "another basis" }).isSet);
});

test("the mask of the node's input is the region until one is painted or cleared", () => {
  const model = ranBoard("", { given: LEFT });
  assert.ok(model.find("region:0"));
  assert.equal(model.write(), "", "an input is no part of the state");
  model.setMask(null);
  assert.ok(!model.find("region:0"));
  assert.ok(!ranBoard(model.write(), { given: LEFT }).find("region:0"));
});

test("undo goes back one commit, redo forward again, and a new change forgets the way forward", () => {
  const model = ranBoard();
  for (const value of [1, 2]) {
    model.values.set("direction:0", value);
    assert.ok(model.commit());
  }
  assert.ok(!model.commit(), "nothing changed");
  assert.ok(model.travel("past"));
  assert.equal(model.values.get("direction:0"), 1);
  assert.ok(model.travel("future"));
  assert.equal(model.values.get("direction:0"), 2);
  model.travel("past");
  model.values.set("direction:0", 3);
  model.commit();
  assert.ok(!model.travel("future"));
});

test("the true picture is that of the setting if all strengths are its own", () => {
  const model = ranBoard();
  Object.assign(model.payload, { true: {}, setting: { mix: [1, 0, 0, 0], words: { smiling: 0.5 } } });
  assert.ok(!model.isTrue);
  model.values.set("direction:0", 1);
  assert.ok(!model.isTrue);
  model.values.set("word:smiling", 0.5);
  assert.ok(model.isTrue);
});
