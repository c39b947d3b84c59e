// Pictures and masks in another size: smaller by averages of areas, larger by what lies between pixels.

/** @typedef {Int8Array | Uint8Array | Float32Array} Numbers */

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
 * @param {Numbers} values - height x width x channels
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {number} newWidth
 * @param {number} newHeight
 * @returns {Float32Array} newHeight x newWidth x channels
 */
export function averages(values, width, height, channels, newWidth, newHeight) {
  // The numbers of a line lie together, so lines come first.
  const fewer = averagesOfLines(values, width * channels, height, newHeight);
  return averagesOfColumns(fewer, width, newHeight, channels, newWidth);
}

/**
 * The pixels that an average is taken of.
 * @param {number} index - of the average
 * @param {number} size - of the picture
 * @param {number} newSize
 * @returns {[number, number]} the first pixel, and the one after the last
 */
function windowOf(index, size, newSize) {
  return [Math.floor((index * size) / newSize), Math.ceil(((index + 1) * size) / newSize)];
}

/**
 * The lines of a picture, brought to another number.
 * @param {Numbers} values - height x length
 * @param {number} length
 * @param {number} height
 * @param {number} newHeight
 * @returns {Float32Array} newHeight x length
 */
function averagesOfLines(values, length, height, newHeight) {
  if (newHeight === height) return new Float32Array(values);
  const result = new Float32Array(newHeight * length);
  const numbers = new Float32Array(length); // a loop over arrays of several types would be slow
  for (let y = 0; y < newHeight; y++) {
    const [first, end] = windowOf(y, height, newHeight);
    const target = y * length;
    for (let line = first; line < end; line++) {
      numbers.set(values.subarray(line * length, (line + 1) * length));
      for (let index = 0; index < length; index++) result[target + index] += numbers[index];
    }
    for (let index = target; index < target + length; index++) result[index] /= end - first;
  }
  return result;
}

/**
 * Each line of a picture, brought to another length.
 * @param {Float32Array} values - height x width x channels
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {number} newWidth
 * @returns {Float32Array} height x newWidth x channels
 */
function averagesOfColumns(values, width, height, channels, newWidth) {
  if (newWidth === width) return values;
  const result = new Float32Array(height * newWidth * channels);
  for (let x = 0; x < newWidth; x++) {
    const [first, end] = windowOf(x, width, newWidth);
    for (let y = 0; y < height; y++) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let pixel = first; pixel < end; pixel++) sum += values[(y * width + pixel) * channels + channel];
        result[(y * newWidth + x) * channels + channel] = sum / (end - first);
      }
    }
  }
  return result;
}

/**
 * For each pixel of a line that is enlarged: the two cells whose middles are beside it, and how far it is on
 * the way from the first to the second.
 * @param {number} pixels
 * @param {number} cells
 * @returns {{first: Int32Array, second: Int32Array, way: Float32Array}}
 */
export function placesBetween(pixels, cells) {
  const [first, second, way] = [new Int32Array(pixels), new Int32Array(pixels), new Float32Array(pixels)];
  for (let pixel = 0; pixel < pixels; pixel++) {
    const place = Math.min(cells - 1, Math.max(0, ((pixel + 0.5) * cells) / pixels - 0.5));
    first[pixel] = Math.floor(place);
    second[pixel] = Math.min(first[pixel] + 1, cells - 1);
    way[pixel] = place - first[pixel];
  }
  return { first, second, way };
}
