// How far the sum of changes may be trusted.

/** @typedef {import("./types.js").Row} Row */
/** @typedef {[number, number]} Range */

/**
 * The linear range of each row. That of a known row was not measured: it ends where a move is as long as the
 * moves to the ends of the directions' ranges are, by their median. On the bundled face these lengths differ
 * from it by a factor of 3 both ways, and the ranges themselves by one of 6.
 * @param {Row[]} rows
 * @param {number[][]} [metric] - inner products of the moves along directions and known rows at strength 1
 * @returns {Range[]} strengths, for each row the negative and the positive end, both above 0
 */
export function rangesOf(rows, metric) {
  const lengths = rows.map((_, index) => Math.sqrt(metric?.[index]?.[index] ?? 1));
  const ends = rows.flatMap(({ kind, range }, index) => {
    return kind === "direction" && range ? range.map((end) => end * lengths[index]) : [];
  });
  const typical = ends.sort((one, other) => one - other)[Math.floor(ends.length / 2)] ?? 1;
  return rows.map(({ range }, index) => range ?? [typical / lengths[index], typical / lengths[index]]);
}

/**
 * The strengths up to which a mixture is what the sum of its parts foretells. Each part uses up a share of
 * its own range, and the shares add up like lengths at right angles, as the directions are at right angles.
 * @param {ArrayLike<number>} weights - what strength 1 adds to the strength of each row
 * @param {Range[]} ranges - of the rows
 * @returns {Range} the negative and the positive end, both above 0
 */
export function rangeOf(weights, ranges) {
  return [1 / usedUp(weights, ranges, -1), 1 / usedUp(weights, ranges, 1)];
}

/**
 * How much of their linear range a setting takes. Above 1 the preview will not hold.
 * @param {ArrayLike<number>} amounts - strengths of the rows
 * @param {Range[]} ranges - of the rows
 * @param {number} [sign] - -1 for the opposite setting
 * @returns {number}
 */
export function usedUp(amounts, ranges, sign = 1) {
  const shares = ranges.map(([back, along], row) => {
    const amount = sign * amounts[row];
    return amount / (amount < 0 ? back : along);
  });
  return Math.hypot(...shares);
}
