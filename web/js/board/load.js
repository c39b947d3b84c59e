// Loading what a run made. Pictures are remembered for a few boards, so that undo and another tab are quick.

import { text } from "../page/strings.js";
import { enlarged } from "./enlarge.js";
import { greyOf, loadPictures as readPictures } from "./loading.js";
import { BoardPictures } from "./pictures.js";

const REMEMBERED = 4; // 512 x 512 pixels with 16 rows are about 13 MB

/** @type {Map<string, Promise<BoardPictures>>} */
const known = new Map();

/**
 * The pictures of a run. The same run has the same object.
 * @param {import("./types.js").Payload} payload
 * @param {(file: import("./types.js").FileRef) => string} address
 * @returns {Promise<BoardPictures>}
 */
export function loadPictures(payload, address) {
  const key = [payload.before, payload.changes].map(address).join(" ");
  const found = known.get(key) ?? BoardPictures.load(payload, address);
  known.delete(key);
  known.set(key, found); // the newest is the last
  found.catch(() => known.delete(key));
  for (const old of [...known.keys()].slice(0, -REMEMBERED)) known.delete(old);
  return found;
}

/**
 * One picture, ready to be drawn.
 * @param {string} address
 * @returns {Promise<HTMLImageElement | HTMLCanvasElement>}
 */
export async function loadPicture(address) {
  const picture = new Image();
  picture.src = address;
  try {
    await picture.decode();
  } catch (error) {
    throw new Error(text("board.picture_gone"), { cause: error });
  }
  return enlarged(picture);
}

/**
 * A mask as one byte a pixel.
 * @param {string} address
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Uint8Array>}
 */
export async function loadMask(address, width, height) {
  const [mask] = await readPictures(address, width, height, 1, greyOf);
  return mask;
}

/**
 * The picture before, as a canvas.
 * @param {BoardPictures} pictures
 * @returns {{before: HTMLCanvasElement, image: ImageData}}
 */
export function drawBefore(pictures) {
  const before = document.createElement("canvas");
  before.width = pictures.width;
  before.height = pictures.height;
  const image = new ImageData(pictures.width, pictures.height);
  pictures.compose(new Float64Array(pictures.rows.length), image);
  before.getContext("2d")?.putImageData(image, 0, 0);
  return { before, image };
}

/**
 * Whether two masks are the same.
 * @param {Uint8Array | null} one
 * @param {Uint8Array | null} other
 * @returns {boolean}
 */
export function isSameMask(one, other) {
  if (!one || !other) return one === other;
  return one.length === other.length && one.every((level, pixel) => level === other[pixel]);
}
