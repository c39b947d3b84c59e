// Small pictures, enlarged with crisp edges. What browsers do by themselves looks like a blur at 64 pixels.

const SMALL = 128; // pixels of the longer edge up to which pictures are enlarged here
const FACTOR = 4;

/**
 * The weights of four neighbours at each place between two pixels, after Catmull and Rom (1974).
 * @returns {{shift: number, weights: number[]}[]} for each of the places: where its first neighbour is
 */
function kernels() {
  return Array.from({ length: FACTOR }, (_, place) => {
    const at = (place + 0.5) / FACTOR - 0.5;
    const first = Math.floor(at);
    const t = at - first;
    const weights = [
      (-t * t * t + 2 * t * t - t) / 2,
      (3 * t * t * t - 5 * t * t + 2) / 2,
      (-3 * t * t * t + 4 * t * t + t) / 2,
      (t * t * t - t * t) / 2,
    ];
    return { shift: first - 1, weights };
  });
}

/**
 * For each pixel of an enlarged line, its four neighbours and their weights.
 * @param {number} pixels - of the small line
 * @returns {{places: number[], weights: number[]}[]}
 */
function neighbours(pixels) {
  const all = kernels();
  return Array.from({ length: pixels * FACTOR }, (_, pixel) => {
    const { shift, weights } = all[pixel % FACTOR];
    const first = Math.floor(pixel / FACTOR) + shift;
    const places = weights.map((_, index) => Math.min(pixels - 1, Math.max(0, first + index)));
    return { places, weights };
  });
}

/** Enlarges pictures of one size. Pictures that are not small stay as they are. */
export class Enlarger {
  /**
   * Prepare for a size.
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.factor = Math.max(width, height) > SMALL ? 1 : FACTOR;
    this.size = [width, height];
    this.columns = neighbours(width);
    this.lines = neighbours(height);
    this.wide = new Float32Array(3 * height * width * FACTOR);
    this.image = new ImageData(width * this.factor, height * this.factor);
  }

  /**
   * Enlarge a picture.
   * @param {ImageData} image
   * @returns {ImageData} the same object for each picture
   */
  enlarge(image) {
    if (this.factor === 1) return image;
    this.widen(image.data);
    this.heighten();
    return this.image;
  }

  /**
   * Enlarge each line.
   * @param {Uint8ClampedArray} data
   */
  widen(data) {
    const [width, height] = this.size;
    let to = 0;
    for (let y = 0; y < height; y++) {
      for (const { places, weights } of this.columns) {
        for (let colour = 0; colour < 3; colour++) {
          let sum = 0;
          for (let index = 0; index < 4; index++) {
            sum += weights[index] * data[4 * (y * width + places[index]) + colour];
          }
          this.wide[to++] = sum;
        }
      }
    }
  }

  /** Enlarge each column of the lines that are enlarged. */
  heighten() {
    const { wide, image: { data } } = this;
    const step = 3 * this.size[0] * FACTOR;
    let to = 0;
    for (const { places, weights } of this.lines) {
      const [a, b, c, d] = places.map((place) => place * step);
      const [wa, wb, wc, wd] = weights;
      for (let at = 0; at < step; at += 3) {
        for (let colour = at; colour < at + 3; colour++) {
          data[to++] = wa * wide[a + colour] + wb * wide[b + colour]
            + wc * wide[c + colour] + wd * wide[d + colour];
        }
        data[to++] = 255;
      }
    }
  }
}

/**
 * A picture on a canvas, enlarged if it is small.
 * @param {HTMLImageElement | HTMLCanvasElement} picture
 * @returns {HTMLImageElement | HTMLCanvasElement}
 */
export function enlarged(picture) {
  const { width, height } = picture;
  if (Math.max(width, height) > SMALL) return picture;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return picture;
  context.drawImage(picture, 0, 0);
  const large = new Enlarger(width, height).enlarge(context.getImageData(0, 0, width, height));
  canvas.width = large.width;
  canvas.height = large.height;
  context.putImageData(large, 0, 0);
  return canvas;
}
