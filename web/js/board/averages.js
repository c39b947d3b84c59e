// Pictures and masks brought to another size by averages of areas.

/**
 * The size of a picture whose long edge is brought down to so many pixels. Smaller pictures keep their size.
 * @param {number} width
 * @param {number} height
 * @param {number} longEdge
 * @returns {[number, number]} width and height
 */
export function sizeWithin(width, height, longEdge) {
  const share = Math.min(1, longEdge / Math.max(width, height));
  return [Math.max(1, Math.round(width * share)), Math.max(1, Math.round(height * share))];
}

/**
 * The averages of areas. The windows are those of torch's `adaptive_avg_pool2d`, so that a mask means the
 * same in the page as in Python: of whole pixels, from floor(i in / out) to ceil((i + 1) in / out).
 * @param {ArrayLike<number>} values - height x width x channels
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {number} newWidth
 * @param {number} newHeight
 * @returns {Float32Array} newHeight x newWidth x channels
 */
export function averages(values, width, height, channels, newWidth, newHeight) {
  const narrow = averagesOfColumns(values, width, height, channels, newWidth);
  // The lines of the result are averages of whole lines: a picture of one column, with as many channels.
  return averagesOfColumns(narrow, height, 1, newWidth * channels, newHeight);
}

/**
 * Each line of a picture, brought to another length.
 * @param {ArrayLike<number>} values - height x width x channels
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {number} newWidth
 * @returns {Float32Array} height x newWidth x channels
 */
function averagesOfColumns(values, width, height, channels, newWidth) {
  if (newWidth === width) return Float32Array.from(values);
  const result = new Float32Array(height * newWidth * channels);
  for (let x = 0; x < newWidth; x++) {
    const first = Math.floor((x * width) / newWidth);
    const end = Math.ceil(((x + 1) * width) / newWidth);
    const share = 1 / (end - first);
    for (let y = 0; y < height; y++) {
      const target = (y * newWidth + x) * channels;
      for (let from = (y * width + first) * channels; from < (y * width + end) * channels; from += channels) {
        for (let channel = 0; channel < channels; channel++) {
          result[target + channel] += share * values[from + channel];
        }
      }
    }
  }
  return result;
}
