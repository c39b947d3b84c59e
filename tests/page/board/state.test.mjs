// The state of a board as text: what Python reads, and foreign texts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { maskToText, readState, writeState } from "../../../web/js/board/state.js";

const MASK = maskToText(Uint8Array.of(255, 0, 0, 255), 2, 2);
const STATE = {
  version: 1,
  basis: "1|faces|picture|2|abc",
  mix: [0.5, -1.25],
  words: { smiling: 0.5 },
  strengths: [0.5, -1],
  region: { mask: MASK, strengths: [0.75] },
};

/** A state with other parts, as text. */
function changed(parts) {
  return JSON.stringify({ ...STATE, ...parts });
}

test("a state comes back as it was", () => {
  assert.deepEqual(readState(writeState(STATE)), STATE);
  assert.deepEqual(readState(changed({ region: null })), { ...STATE, region: null });
});

test("numbers are kept to six places", () => {
  const text = writeState({ ...STATE, mix: [1 / 3, 1e-9], region: null });
  assert.deepEqual(JSON.parse(text).mix, [0.333333, 0]);
});

test("texts that are no state set nothing", () => {
  const texts = ["", " ", "{", "null", "3", "[]", '"text"', "{}", " ".repeat(1e6) + JSON.stringify(STATE)];
  for (const text of texts) assert.equal(readState(text), null, text.slice(0, 20));
});

const UNUSABLE = {
  "another version": { version: 2 },
  "no version": { version: undefined },
  "a basis that is no text": { basis: 3 },
  "a mix that is no list": { mix: { 0: 1 } },
  "a mix with a text": { mix: ["0.5", 1] },
  "a mix with null": { mix: [null, 1] },
  "a strength that is a mistake": { mix: [101, 0] },
  "words in a list": { words: [] },
  "a word without a number": { words: { smiling: "much" } },
};
for (const [name, parts] of Object.entries(UNUSABLE)) {
  test(`a state with ${name} sets nothing, as in Python`, () => {
    assert.equal(readState(changed(parts)), null);
  });
}

test("a state of Python, without places of sliders, shows its mix", () => {
  const text = JSON.stringify({ version: 1, basis: "a", mix: [1, 2], words: {} });
  assert.deepEqual(readState(text), {
    version: 1, basis: "a", mix: [1, 2], words: {}, strengths: [1, 2], region: null,
  });
});

const UNREADABLE = {
  "a region that is a text": { region: "eyes" },
  "a mask of another form": { region: { mask: "eyes", strengths: [1] } },
  "a region without strengths": { region: { mask: MASK } },
  "too few strengths": { strengths: [1] },
  "strengths that are no numbers": { strengths: ["a", "b"] },
};
for (const [name, parts] of Object.entries(UNREADABLE)) {
  test(`with ${name} the sliders show the mix, which is what the picture shows`, () => {
    const state = readState(changed(parts));
    assert.deepEqual(state.strengths, STATE.mix);
    assert.equal(state.region, null);
  });
}

test("a region that was cleared is kept as cleared", () => {
  const region = { mask: "", strengths: [] };
  assert.deepEqual(readState(changed({ region, strengths: STATE.mix })).region, region);
});

test("a word with the name of a property is a word", () => {
  const text = JSON.stringify(STATE).replace('"smiling"', '"__proto__"');
  assert.deepEqual(Object.entries(readState(text).words), [["__proto__", 0.5]]);
});
