// One slider of the board: the picture at -1 and at +1 at the ends of a track, with the linear range marked.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { LEAST } from "./region.js";

const REACH = 3; // the strengths at the ends of a track; faces break up beyond
const STEP = 0.1; // of an arrow key; with Shift a tenth of it
const FINE = 0.1; // with Shift a drag moves so much slower
const CATCH = 0.06; // a drag that comes so near to 0 stays at 0
export const VISIBLE = 0.005; // smaller values are written as 0
const HANDLE = 9; // pixels around the handle where a press does not make it jump

/**
 * A number within the reach of a track, in hundredths.
 * @param {number} value
 * @returns {number}
 */
function onTrack(value) {
  return Math.round(Math.min(REACH, Math.max(-REACH, value)) * 100) / 100;
}

/**
 * A strength with its sign, such as "+0.5".
 * @param {number} value
 * @returns {string}
 */
export function signed(value) {
  const rounded = Number(value.toFixed(2)) || 0; // never -0
  return rounded > 0 ? `+${rounded}` : String(rounded);
}

/**
 * How the board speaks to a slider, and what a slider asks of the board.
 * @typedef {{begin: (id: string) => void, move: (id: string, value: number) => void, end: () => void,
 *   peek: (id: string, value: number) => void, unpeek: () => void}} SliderHost
 */

/** A slider with its track, thumbnails, name and number. */
export class Slider {
  /**
   * @param {import("./types.js").SliderSpec} spec
   * @param {string} label
   * @param {SliderHost} host
   */
  constructor(spec, label, host) {
    this.spec = spec;
    this.host = host;
    this.value = 0;
    this.label = label;
    this.number = element("span", { class: "pb-number", "data-pullback": "value" });
    this.input = element("input", { type: "range", min: -REACH, max: REACH, step: 0.01, "aria-label": label,
      "data-pullback": "slider", "data-row": spec.index, "data-kind": spec.kind });
    this.track = element("div", { class: "pb-track" }, [element("div", { class: "pb-handle" }), this.input]);
    this.low = this.end(-1);
    this.high = this.end(1);
    const head = element("div", { class: "pb-slider-head" }, [
      element("span", { class: "pb-slider-name", title: label }, [label]), this.shareText(), this.number,
    ]);
    const middle = element("div", { class: "pb-slider-middle" }, [head, this.track]);
    const marks = { "data-pullback": "row", "data-row": spec.index };
    this.element = element("div", { class: "pb-slider", ...marks }, [this.low, middle, this.high]);
    this.mark();
    this.listen();
    this.set(0);
  }

  /**
   * The thumbnail at one end of the track. A press goes one step that way.
   * @param {number} sign
   * @returns {HTMLCanvasElement}
   */
  end(sign) {
    const title = `${this.label} ${signed(sign)}`;
    const picture = element("canvas", { class: "pb-thumbnail", title, "data-pullback": "thumbnail" });
    picture.addEventListener("pointerenter", () => this.host.peek(this.spec.id, sign));
    picture.addEventListener("pointerleave", () => this.host.unpeek());
    picture.addEventListener("click", () => {
      this.input.focus({ preventScroll: true });
      this.change(sign);
    });
    return picture;
  }

  /**
   * What is said beside the name: how local it is, or how much of a word is explained.
   * @returns {HTMLElement}
   */
  shareText() {
    const said = element("span", { class: "pb-share", "data-pullback": "share" });
    if (this.spec.share === null) return said;
    const key = this.spec.kind === "word" ? "board.explained" : "board.inside";
    said.textContent = text(key, { percent: Math.round(100 * this.spec.share) });
    said.title = text(`${key}_tip`);
    said.classList.toggle("pb-low", this.spec.kind === "region" && this.spec.share < LEAST);
    return said;
  }

  /** Mark the linear range on the track. */
  mark() {
    const [low, high] = this.spec.range;
    this.track.style.setProperty("--pb-low", percent(-low));
    this.track.style.setProperty("--pb-high", percent(high));
  }

  /**
   * Show a value. The board is not told.
   * @param {number} value
   */
  set(value) {
    this.value = value;
    this.number.textContent = signed(value);
    this.input.value = String(value);
    this.input.setAttribute("aria-valuetext", signed(value));
    this.track.style.setProperty("--pb-value", percent(value));
    this.track.style.setProperty("--pb-from", percent(Math.min(0, value)));
    this.track.style.setProperty("--pb-to", percent(Math.max(0, value)));
    const beyond = value < -this.spec.range[0] || value > this.spec.range[1];
    this.element.classList.toggle("pb-beyond", beyond);
    this.element.classList.toggle("pb-set", Math.abs(value) >= VISIBLE);
  }

  /**
   * A change in one go, by a key, a press or a double click.
   * @param {number} value
   */
  change(value) {
    this.host.begin(this.spec.id);
    this.host.move(this.spec.id, onTrack(value));
    this.host.end();
  }

  /** Take pointer and keys. */
  listen() {
    this.track.addEventListener("pointerdown", (event) => this.press(event));
    this.element.addEventListener("dblclick", (event) => {
      if (event.target instanceof HTMLCanvasElement) return; // a quick second press on a thumbnail
      this.change(0);
    });
    this.input.addEventListener("keydown", (event) => {
      const value = this.afterKey(event);
      if (value === null) return;
      event.preventDefault();
      event.stopPropagation();
      this.change(value);
    });
    this.input.addEventListener("input", () => this.change(Number(this.input.value))); // screen readers
  }

  /**
   * The value after a key, or null if the key is not one of a slider.
   * @param {KeyboardEvent} event
   * @returns {number | null}
   */
  afterKey(event) {
    const step = event.shiftKey ? STEP * FINE : STEP;
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (event.key === "ArrowRight" || event.key === "ArrowUp") return this.value + step;
    if (event.key === "ArrowLeft" || event.key === "ArrowDown") return this.value - step;
    if (event.key === "PageUp") return this.value + 5 * STEP;
    if (event.key === "PageDown") return this.value - 5 * STEP;
    if (event.key === "Home" || event.key === "Delete" || event.key === "Backspace") return 0;
    return null;
  }

  /**
   * A drag along the track, from press to release.
   * @param {PointerEvent} down
   */
  press(down) {
    if (down.button !== 0) return;
    const box = this.track.getBoundingClientRect();
    const perPixel = (2 * REACH) / box.width;
    const handle = box.left + (this.value + REACH) / perPixel;
    let free = this.value; // where the pointer is, beyond the ends of the track too
    let last = down.clientX;
    if (Math.abs(down.clientX - handle) > HANDLE) free = (down.clientX - box.left) * perPixel - REACH;
    const drag = new AbortController();
    const show = (/** @type {boolean} */ fine) => {
      const value = onTrack(free);
      this.host.move(this.spec.id, !fine && Math.abs(value) < CATCH ? 0 : value);
    };
    this.input.focus({ preventScroll: true });
    this.track.setPointerCapture(down.pointerId);
    this.host.begin(this.spec.id);
    show(down.shiftKey);
    this.track.addEventListener("pointermove", (event) => {
      free += (event.clientX - last) * perPixel * (event.shiftKey ? FINE : 1);
      last = event.clientX;
      show(event.shiftKey);
    }, drag);
    const done = () => {
      drag.abort();
      this.host.end();
    };
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.track.addEventListener(name, done, drag);
    }
  }
}

/**
 * A place on the track, in percent of its width.
 * @param {number} value
 * @returns {string}
 */
function percent(value) {
  return `${(100 * (onTrack(value) + REACH)) / (2 * REACH)}%`;
}
