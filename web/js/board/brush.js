// The mask brush: a layer over the picture that takes the strokes, and its tools.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { icon, press, setEnabled, setPressed } from "./controls.js";
import { isPainted, stroke } from "./paint.js";

const TINT = [84, 132, 255]; // of the painted region: a blue that skin and hair do not have
const COVER = 0.5; // opacity of the tint

/** The brush with its layer and its tools. */
export class Brush {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {import("./hand.js").Hand} hand - told of each piece of a stroke, and of its end
   */
  constructor(stage, hand) {
    this.stage = stage;
    this.hand = hand;
    this.active = false;
    this.mask = new Uint8Array(0);
    this.size = [1, 1];
    this.erase = false;
    this.layer = element("canvas", { class: "pb-mask", "data-pullback": "brush-layer" });
    this.cursor = element("div", { class: "pb-cursor" });
    stage.frame.append(this.layer, this.cursor);
    this.radius = this.range("board.brush_size", 0.02, 0.3, 0.1);
    this.softness = this.range("board.brush_soft", 0, 1, 0.5);
    this.eraser = press(text("board.brush_erase"), [icon("erase")], () => this.setErase(!this.erase));
    const clear = text("board.brush_clear");
    this.clear = press(clear, [icon("clear"), clear], () => hand.clear());
    this.clear.input.dataset.pullback = "brush-clear";
    this.element = element("div", { class: "pb-tools pb-brush-tools" }, [
      this.radius.shell, this.softness.shell, this.eraser, this.clear,
    ]);
    this.listen();
    this.setActive(false);
  }

  /**
   * A small slider among the tools.
   * @param {string} key - of its text
   * @param {number} min
   * @param {number} max
   * @param {number} value
   * @returns {{shell: HTMLElement, input: HTMLInputElement}}
   */
  range(key, min, max, value) {
    const label = text(key);
    const input = element("input", { type: "range", min, max, step: 0.01, value, "aria-label": label });
    return { input, shell: element("label", { class: "pb-tool-range" }, [label, input]) };
  }

  /**
   * Take the mask of a setting, to paint on.
   * @param {Uint8Array | null} mask
   * @param {number} width
   * @param {number} height
   */
  setMask(mask, width, height) {
    this.size = [width, height];
    this.mask = mask ? mask.slice() : new Uint8Array(width * height);
    if (this.layer.width !== width || this.layer.height !== height) {
      this.layer.width = width;
      this.layer.height = height;
    }
    this.show();
  }

  /**
   * Begin or end painting.
   * @param {boolean} active
   */
  setActive(active) {
    this.active = active;
    this.element.hidden = !active;
    this.stage.frame.classList.toggle("pb-painting", active);
  }

  /**
   * Paint or erase.
   * @param {boolean} erase
   */
  setErase(erase) {
    this.erase = erase;
    setPressed(this.eraser, erase);
  }

  /**
   * Make the brush larger or smaller.
   * @param {number} factor
   */
  resize(factor) {
    this.radius.input.value = String(Number(this.radius.input.value) * factor);
  }

  /** The brush in pixels of the mask. */
  shape() {
    const radius = Number(this.radius.input.value) * Math.max(...this.size);
    return { radius, softness: Number(this.softness.input.value), erase: this.erase };
  }

  /** Show the mask. */
  show() {
    const context = this.layer.getContext("2d");
    if (!context || !this.mask.length) return;
    const pixels = context.createImageData(this.size[0], this.size[1]);
    for (let at = 0; at < this.mask.length; at++) {
      pixels.data.set(TINT, 4 * at);
      pixels.data[4 * at + 3] = this.mask[at] * COVER;
    }
    context.putImageData(pixels, 0, 0);
    setEnabled(this.clear, isPainted(this.mask));
  }

  /**
   * Where a pointer is, in pixels of the mask.
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  place(event) {
    const [x, y] = this.stage.place(event);
    return [x * this.size[0], y * this.size[1]];
  }

  /** Take strokes. */
  listen() {
    const { layer } = this;
    layer.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && this.mask.length) this.paint(event);
    });
    layer.addEventListener("pointermove", (event) => {
      const [x, y] = this.stage.place(event);
      const across = (2 * this.shape().radius) / this.size[0];
      this.cursor.style.left = `${100 * x}%`;
      this.cursor.style.top = `${100 * y}%`;
      this.cursor.style.width = `${100 * across}%`;
    });
  }

  /**
   * One stroke, from press to release.
   * @param {PointerEvent} down
   */
  paint(down) {
    const { layer } = this;
    const drag = new AbortController();
    let last = this.place(down);
    const piece = (/** @type {PointerEvent} */ event) => {
      const next = this.place(event);
      stroke(this.mask, this.size[0], this.size[1], last, next, this.shape());
      last = next;
      this.show();
      this.hand.paint(this.mask, false);
    };
    layer.setPointerCapture(down.pointerId);
    this.stage.frame.classList.add("pb-stroke");
    piece(down);
    layer.addEventListener("pointermove", piece, drag);
    const done = () => {
      drag.abort();
      this.stage.frame.classList.remove("pb-stroke");
      this.hand.paint(this.mask, true);
    };
    for (const name of ["pointerup", "pointercancel"]) layer.addEventListener(name, done, drag);
  }
}
