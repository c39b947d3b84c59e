// Linear algebra of small symmetric matrices. A matrix is a list of its rows.

const ROUNDING = 1e-16; // what is smaller than this share of the matrix is 0
const STEPS = 50; // for each eigenvalue; two or three are usual

/**
 * The eigenvalues and eigenvectors of a symmetric matrix: it is made tridiagonal by reflections, and then
 * diagonal by the QR method with Wilkinson's shifts (Golub and Van Loan, Matrix Computations, 8.3). A matrix
 * of 80 rows takes a few milliseconds, where Jacobi's rotations take a hundred.
 * @param {ArrayLike<number>[]} matrix - n x n
 * @returns {{values: number[], vectors: Float64Array[]}} descending values, and rows of length 1
 */
export function symmetricEigen(matrix) {
  const a = matrix.map((row) => Float64Array.from(row));
  const rows = identity(a.length);
  const least = ROUNDING * Math.sqrt(a.reduce((sum, row) => sum + dot(row, row), 0));
  makeTridiagonal(a, rows);
  const diagonal = a.map((row, i) => row[i]);
  const beside = a.slice(1).map((row, i) => row[i]);
  makeDiagonal(diagonal, beside, rows, least);
  const order = [...a.keys()].sort((i, j) => diagonal[j] - diagonal[i]);
  return { values: order.map((i) => diagonal[i]), vectors: order.map((i) => rows[i]) };
}

/**
 * Reflect a symmetric matrix so that only its diagonal and the entries beside it are not 0.
 * @param {Float64Array[]} a - it is changed; what becomes 0 is not written
 * @param {Float64Array[]} rows - they are reflected in the same way
 */
function makeTridiagonal(a, rows) {
  for (let k = 0; k < a.length - 2; k++) {
    const v = Float64Array.from(a, (row, i) => (i > k ? row[k] : 0));
    const length = Math.sqrt(dot(v, v));
    if (length === 0) continue;
    const target = v[k + 1] > 0 ? -length : length;
    v[k + 1] -= target;
    const size = Math.sqrt(dot(v, v));
    for (let i = k + 1; i < v.length; i++) v[i] /= size;
    reflect(a, v, k + 1);
    reflectRows(rows, v, k + 1);
    a[k + 1][k] = target;
  }
}

/**
 * H a H for the reflection H = 1 - 2 v v^T, in the lines and columns from `first` on.
 * @param {Float64Array[]} a - it is changed
 * @param {Float64Array} v - of length 1, 0 before `first`
 * @param {number} first
 */
function reflect(a, v, first) {
  const w = new Float64Array(v.length);
  for (let i = first; i < v.length; i++) w[i] = 2 * dot(a[i], v);
  const along = dot(v, w);
  for (let i = first; i < v.length; i++) w[i] -= along * v[i];
  for (let i = first; i < v.length; i++) {
    const row = a[i];
    for (let j = first; j < v.length; j++) row[j] -= v[i] * w[j] + w[i] * v[j];
  }
}

/**
 * H rows for the reflection H = 1 - 2 v v^T.
 * @param {Float64Array[]} rows - they are changed
 * @param {Float64Array} v - of length 1, 0 before `first`
 * @param {number} first
 */
function reflectRows(rows, v, first) {
  const sum = new Float64Array(v.length);
  for (let i = first; i < v.length; i++) addTo(sum, rows[i], v[i]);
  for (let i = first; i < v.length; i++) addTo(rows[i], sum, -2 * v[i]);
}

/**
 * Make a tridiagonal matrix diagonal.
 * @param {number[]} diagonal - it becomes the eigenvalues
 * @param {number[]} beside - the entries beside it, which become 0
 * @param {Float64Array[]} rows - they are turned in the same way
 * @param {number} least - what counts as 0
 */
function makeDiagonal(diagonal, beside, rows, least) {
  let steps = STEPS * diagonal.length;
  for (let end = diagonal.length - 1; end > 0; ) {
    if (Math.abs(beside[end - 1]) <= least) {
      end--;
      continue;
    }
    let start = end - 1;
    while (start > 0 && Math.abs(beside[start - 1]) > least) start--;
    if (steps-- === 0) throw new Error("A matrix has no eigenvalues; it holds numbers that are not finite.");
    chase(diagonal, beside, rows, start, end);
  }
}

/**
 * One step of the QR method: a turn by the shift, and turns that chase what it leaves out of the matrix.
 * @param {number[]} diagonal
 * @param {number[]} beside
 * @param {Float64Array[]} rows
 * @param {number} start - of the block of the matrix
 * @param {number} end - its last row
 */
function chase(diagonal, beside, rows, start, end) {
  const half = (diagonal[end - 1] - diagonal[end]) / 2;
  const last = beside[end - 1];
  const away = half + (half < 0 ? -1 : 1) * Math.hypot(half, last);
  let kept = diagonal[start] - (diagonal[end] - (last * last) / away);
  let chased = beside[start];
  for (let k = start; k < end; k++) {
    const size = Math.hypot(kept, chased);
    const [cosine, sine] = size > 0 ? [kept / size, chased / size] : [1, 0];
    if (k > start) beside[k - 1] = size;
    const [one, other, between] = [diagonal[k], diagonal[k + 1], beside[k]];
    const mixed = 2 * cosine * sine * between;
    diagonal[k] = cosine * cosine * one + mixed + sine * sine * other;
    diagonal[k + 1] = sine * sine * one - mixed + cosine * cosine * other;
    beside[k] = cosine * sine * (other - one) + (cosine * cosine - sine * sine) * between;
    turn(rows[k], rows[k + 1], cosine, sine);
    if (k === end - 1) return;
    kept = beside[k];
    chased = sine * beside[k + 1];
    beside[k + 1] *= cosine;
  }
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
    one[i] = cosine * first + sine * second;
    other[i] = cosine * second - sine * first;
  }
}

/**
 * Add a multiple of a row to a row.
 * @param {Float64Array} target - it is changed
 * @param {ArrayLike<number>} row
 * @param {number} factor
 */
function addTo(target, row, factor) {
  for (let i = 0; i < target.length; i++) target[i] += factor * row[i];
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
  return one.map((row) => {
    const product = new Float64Array(other[0].length);
    for (let i = 0; i < row.length; i++) addTo(product, other[i], row[i]);
    return product;
  });
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
