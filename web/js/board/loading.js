// Reads the PNG files of a board into numbers, exactly as the node wrote them.

/**
 * Fetch a picture. Colour management and premultiplication, which would change its numbers, are off.
 * @param {string} url
 * @returns {Promise<ImageBitmap>}
 */
async function fetchBitmap(url) {
  const answer = await fetch(url);
  if (!answer.ok) {
    throw new Error(`A picture of the board is gone (the server answers ${answer.status}); run it again.`);
  }
  return createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}

/**
 * A canvas to read pixels from. It is read again and again, so it stays in the memory of the processor.
 * @param {number} width
 * @param {number} height
 * @returns {OffscreenCanvasRenderingContext2D}
 */
function readableCanvas(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("The page cannot make a canvas to read pictures; reload the page.");
  context.imageSmoothingEnabled = false;
  return context;
}

/**
 * Fetch pictures that lie one below the other in one file, and read the pixels of each.
 * @template T
 * @param {string} url
 * @param {number} width - of one picture
 * @param {number} height - of one picture
 * @param {number} count - how many there are
 * @param {(pixels: Uint8ClampedArray) => T} read - makes what is kept of a picture (height x width x 4)
 * @returns {Promise<T[]>}
 */
export async function loadPictures(url, width, height, count, read) {
  const bitmap = await fetchBitmap(url);
  try {
    if (bitmap.width !== width || bitmap.height !== height * count) {
      throw new Error(
        `A picture of the board has ${bitmap.width} x ${bitmap.height} pixels, and `
          + `${width} x ${height * count} are needed; run it again.`,
      );
    }
    // One picture at a time: canvases as high as all of them together have limits in browsers.
    const context = readableCanvas(width, height);
    const found = [];
    for (let index = 0; index < count; index++) {
      context.drawImage(bitmap, 0, index * height, width, height, 0, 0, width, height);
      found.push(read(context.getImageData(0, 0, width, height).data));
    }
    return found;
  } finally {
    bitmap.close();
  }
}

/**
 * The colours of pixels without their alpha.
 * @param {Uint8ClampedArray} pixels - height x width x 4
 * @returns {Uint8Array} height x width x 3
 */
export function coloursOf(pixels) {
  const colours = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    colours[to] = pixels[from];
    colours[to + 1] = pixels[from + 1];
    colours[to + 2] = pixels[from + 2];
  }
  return colours;
}

/**
 * A change as it was written: 128 stands for none.
 * @param {Uint8ClampedArray} pixels - height x width x 4
 * @returns {Int8Array} height x width x 3, in steps of the row's scale
 */
export function changeOf(pixels) {
  const change = new Int8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    change[to] = pixels[from] - 128;
    change[to + 1] = pixels[from + 1] - 128;
    change[to + 2] = pixels[from + 2] - 128;
  }
  return change;
}

/**
 * The first channel of pixels: a mask.
 * @param {Uint8ClampedArray} pixels - height x width x 4
 * @returns {Uint8Array} height x width
 */
export function greyOf(pixels) {
  const grey = new Uint8Array(pixels.length / 4);
  for (let index = 0; index < grey.length; index++) grey[index] = pixels[4 * index];
  return grey;
}
