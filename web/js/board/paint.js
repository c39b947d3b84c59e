// Painting a mask: soft round stamps on an array, one byte a pixel. No page is needed here.

/**
 * How a brush paints. The radius is in pixels of the mask, softness is the share of the radius that fades.
 * @typedef {{radius: number, softness: number, erase: boolean}} BrushShape
 */

/**
 * Stamp the brush once. Painting keeps the stronger of what is there and the stamp, so strokes do not add up.
 * @param {Uint8Array} mask - width * height, 0 outside and 255 inside; changed
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} centre - in pixels
 * @param {BrushShape} shape
 */
export function stamp(mask, width, height, [x, y], shape) {
  const { radius, erase } = shape;
  const hard = radius * (1 - shape.softness);
  const fade = Math.max(radius - hard, 1); // at least a pixel: no steps at the edge
  const left = Math.max(0, Math.floor(x - radius - 1));
  const right = Math.min(width - 1, Math.ceil(x + radius + 1));
  const top = Math.max(0, Math.floor(y - radius - 1));
  const bottom = Math.min(height - 1, Math.ceil(y + radius + 1));
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const away = Math.hypot(column + 0.5 - x, row + 0.5 - y);
      const share = Math.min(1, Math.max(0, (hard + fade - away) / fade));
      const level = 255 * share * share * (3 - 2 * share); // smooth at both ends
      const at = row * width + column;
      mask[at] = erase ? Math.min(mask[at], 255 - level) : Math.max(mask[at], level);
    }
  }
}

/**
 * Stamp the brush along a line.
 * @param {Uint8Array} mask
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} from - in pixels
 * @param {[number, number]} to
 * @param {BrushShape} shape
 */
export function stroke(mask, width, height, from, to, shape) {
  const spacing = Math.max(0.5, shape.radius / 4);
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / spacing));
  for (let step = 1; step <= steps; step++) {
    const share = step / steps;
    const x = from[0] + share * (to[0] - from[0]);
    const y = from[1] + share * (to[1] - from[1]);
    stamp(mask, width, height, [x, y], shape);
  }
}

/**
 * Whether anything is painted.
 * @param {Uint8Array | null} mask
 * @returns {boolean}
 */
export function isPainted(mask) {
  return mask !== null && mask.some((level) => level > 127);
}
