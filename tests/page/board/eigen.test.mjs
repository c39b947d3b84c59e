// Small symmetric matrices, checked by what defines eigenvectors.

import assert from "node:assert/strict";
import { test } from "node:test";

import { identity, multiply, orthonormalMixtures, seenBy, symmetricEigen, transpose }
  from "../../../web/js/board/eigen.js";
import { noise } from "./fake.mjs";

/** The largest difference between two matrices. */
function difference(one, other) {
  let most = 0;
  one.forEach((row, i) => row.forEach((value, j) => (most = Math.max(most, Math.abs(value - other[i][j])))));
  return most;
}

/** Rows of noise. */
function rows(count, size) {
  return Array.from({ length: count }, (_, index) => {
    return Float64Array.from(noise(size, index + 5), (value) => value / 127);
  });
}

for (const size of [1, 2, 5, 16, 80]) {
  test(`a matrix of ${size} rows is taken apart and put together again`, () => {
    const made = rows(size, size);
    const matrix = multiply(made, transpose(made));
    const { values, vectors } = symmetricEigen(matrix);
    const scaled = vectors.map((vector, i) => vector.map((number) => number * values[i]));
    assert.ok(difference(multiply(transpose(vectors), scaled), matrix) < 1e-11 * size);
    assert.ok(difference(multiply(vectors, transpose(vectors)), identity(size)) < 1e-12);
    assert.deepEqual(values, [...values].sort((a, b) => b - a));
  });
}

test("a matrix with known eigenvalues, one of them below 0", () => {
  const { values, vectors } = symmetricEigen([[1, 2], [2, 1]]);
  assert.ok(Math.abs(values[0] - 3) < 1e-14 && Math.abs(values[1] + 1) < 1e-14);
  assert.ok(Math.abs(Math.abs(vectors[0][0]) - Math.SQRT1_2) < 1e-14);
  assert.ok(vectors[0][0] * vectors[0][1] > 0);
});

test("a matrix of zeros, and one with equal eigenvalues, have no hidden division by 0", () => {
  assert.deepEqual(symmetricEigen([[0, 0], [0, 0]]).values, [0, 0]);
  assert.deepEqual(symmetricEigen(identity(3)).values, [1, 1, 1]);
});

test("few rows that span much more, so that most eigenvalues are 0", () => {
  const made = rows(3, 40);
  const { values, vectors } = symmetricEigen(multiply(transpose(made), made));
  assert.ok(values[2] > 1 && values.slice(3).every((value) => Math.abs(value) < 1e-12));
  assert.ok(difference(multiply(vectors, transpose(vectors)), identity(40)) < 1e-12);
});

test("numbers that are not finite end in an error, not in an endless loop", () => {
  assert.throws(() => symmetricEigen([[1, NaN], [NaN, 1]]), /not finite/);
});

test("a matrix is left as it was", () => {
  const matrix = [[1, 2], [2, 1]];
  symmetricEigen(matrix);
  assert.deepEqual(matrix, [[1, 2], [2, 1]]);
});

test("orthonormal mixtures leave out what depends on the rest", () => {
  const vectors = rows(3, 10);
  const dependent = [...vectors, vectors[0].map((value, i) => value - 2 * vectors[1][i])];
  const products = multiply(dependent, transpose(dependent));
  const mixtures = orthonormalMixtures(products, 1e-4);
  assert.equal(mixtures.length, 3);
  assert.ok(difference(seenBy(mixtures, products), identity(3)) < 1e-12);
});
