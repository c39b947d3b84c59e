// Linear algebra of small symmetric matrices. A matrix is a list of its rows.

const SWEEPS = 30; // each sweep of Jacobi's method squares the error; matrices of 48 take 8 of them
const ROUNDING = 1e-15;

/**
 * The eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's method: plane rotations that make one
 * entry after the other 0.
 * @param {ArrayLike<number>[]} matrix - n x n
 * @returns {{values: number[], vectors: Float64Array[]}} descending values, and rows of length 1
 */
export function symmetricEigen(matrix) {
  const a = matrix.map((row) => Float64Array.from(row));
  const v = identity(a.length);
  const size = Math.sqrt(a.reduce((sum, row) => sum + dot(row, row), 0));
  for (let sweep = 0; sweep < SWEEPS && offDiagonal(a) > ROUNDING * size; sweep++) {
    for (let p = 0; p < a.length; p++) {
      for (let q = p + 1; q < a.length; q++) rotate(a, v, p, q);
    }
  }
  const order = [...a.keys()].sort((i, j) => a[j][j] - a[i][i]);
  return { values: order.map((i) => a[i][i]), vectors: order.map((i) => v[i]) };
}

/**
 * Turn rows and columns p and q of a symmetric matrix so that its entry (p, q) becomes 0.
 * @param {Float64Array[]} a - it is changed
 * @param {Float64Array[]} v - rows that are turned in the same way
 * @param {number} p
 * @param {number} q
 */
function rotate(a, v, p, q) {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(tangent, 1);
  const sine = tangent * cosine;
  turn(a[p], a[q], cosine, sine);
  for (const row of a) {
    const [first, second] = [row[p], row[q]];
    row[p] = cosine * first - sine * second;
    row[q] = sine * first + cosine * second;
  }
  turn(v[p], v[q], cosine, sine);
}

/**
 * Turn two rows into each other.
 * @param {Float64Array} one
 * @param {Float64Array} other
 * @param {number} cosine
 * @param {number} sine
 */
function turn(one, other, cosine, sine) {
  for (let i = 0; i < one.length; i++) {
    const [first, second] = [one[i], other[i]];
    one[i] = cosine * first - sine * second;
    other[i] = sine * first + cosine * second;
  }
}

/**
 * The size of what is not on the diagonal.
 * @param {Float64Array[]} a
 * @returns {number}
 */
function offDiagonal(a) {
  let sum = 0;
  for (const [i, row] of a.entries()) {
    for (let j = 0; j < row.length; j++) if (i !== j) sum += row[j] * row[j];
  }
  return Math.sqrt(sum);
}

/**
 * A matrix with 1 on the diagonal.
 * @param {number} size
 * @returns {Float64Array[]}
 */
export function identity(size) {
  return Array.from({ length: size }, (_, i) => {
    const row = new Float64Array(size);
    row[i] = 1;
    return row;
  });
}

/**
 * The product of two matrices.
 * @param {ArrayLike<number>[]} one - n x m
 * @param {ArrayLike<number>[]} other - m x k
 * @returns {Float64Array[]} n x k
 */
export function multiply(one, other) {
  const columns = transpose(other);
  return one.map((row) => Float64Array.from(columns, (column) => dot(row, column)));
}

/**
 * A matrix with rows and columns exchanged.
 * @param {ArrayLike<number>[]} matrix
 * @returns {Float64Array[]}
 */
export function transpose(matrix) {
  return Array.from(matrix[0], (_, j) => Float64Array.from(matrix, (row) => row[j]));
}

/**
 * A quadratic form seen by mixtures: m A m^T.
 * @param {ArrayLike<number>[]} mixtures - r x n
 * @param {ArrayLike<number>[]} form - n x n, symmetric
 * @returns {Float64Array[]} r x r
 */
export function seenBy(mixtures, form) {
  return multiply(multiply(mixtures, form), transpose(mixtures));
}

/**
 * The inner product of two vectors.
 * @param {ArrayLike<number>} one
 * @param {ArrayLike<number>} other
 * @returns {number}
 */
export function dot(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
  return sum;
}

/**
 * The mixtures of vectors that are orthonormal, by the inner products of the vectors.
 * @param {ArrayLike<number>[]} products - n x n, symmetric
 * @param {number} dependent - eigenvalues below this share of the largest are lost in rounding
 * @returns {Float64Array[]} r x n
 */
export function orthonormalMixtures(products, dependent) {
  const { values, vectors } = symmetricEigen(products);
  return vectors
    .filter((_, i) => values[i] > dependent * values[0])
    .map((vector, i) => vector.map((weight) => weight / Math.sqrt(values[i])));
}
