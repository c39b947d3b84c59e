// The picture, large: before, preview or true, by holding or by a wipe. It is drawn once a frame at most.

import { element } from "../page/dom.js";
import { Enlarger, enlarged } from "./enlarge.js";

const MOST = 1280; // pixels of the canvas along its longer edge; larger ones are scaled up by the page
const KEPT = 600; // times of redraws that are remembered

/**
 * What the canvas shows besides the picture before.
 * @typedef {"empty" | "preview" | "true" | "old"} Shown
 */

/** The picture with its canvas. */
export class Stage {
  /** @param {(shows: string) => void} changed - told what is in sight, after each redraw that changes it */
  constructor(changed) {
    this.canvas = element("canvas", { class: "pb-picture", "data-pullback": "picture", width: 1, height: 1 });
    this.divider = element("div", { class: "pb-divider" }, [element("i", {})]);
    this.frame = element("div", { class: "pb-frame" }, [this.canvas, this.divider]);
    this.element = element("div", { class: "pb-stage" }, [this.frame]);
    this.small = document.createElement("canvas"); // the preview, in its own pixels or four times as many
    this.enlarger = new Enlarger(1, 1);
    /** @type {CanvasImageSource | null} */
    this.before = null;
    /** @type {CanvasImageSource | null} */
    this.true = null;
    /** @type {ImageData | null} */
    this.pixels = null; // what the next redraw puts into `small`
    this.shown = /** @type {Shown} */ ("empty");
    this.holding = false; // the picture before is in sight while held
    this.wipe = /** @type {number | null} */ (null); // the share of the width left of the divider
    this.size = [1, 1]; // of the preview
    /** @type {number[]} */
    this.timings = []; // milliseconds of the last redraws, composing included
    this.compose = /** @type {(() => ImageData) | null} */ (null);
    this.frameAsked = 0;
    this.changed = changed;
    this.listenToDivider();
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  /**
   * Take the pictures of a run.
   * @param {HTMLCanvasElement} before
   * @param {number} width - of the preview
   * @param {number} height
   */
  setBefore(before, width, height) {
    this.before = enlarged(before);
    this.enlarger = new Enlarger(width, height);
    this.small.width = width * this.enlarger.factor;
    this.small.height = height * this.enlarger.factor;
    this.size = [width, height];
    this.fit();
  }

  /**
   * Show what a function composes. It is called in the next frame, once however often this is asked.
   * @param {() => ImageData} compose
   */
  preview(compose) {
    this.compose = compose;
    this.shown = "preview";
    this.ask();
  }

  /**
   * Show the true picture.
   * @param {CanvasImageSource} picture
   */
  showTrue(picture) {
    this.true = picture;
    this.shown = "true";
    this.ask();
  }

  /**
   * Show the picture before while held.
   * @param {boolean} holding
   */
  hold(holding) {
    if (holding === this.holding) return;
    this.holding = holding;
    this.ask();
  }

  /**
   * Show both pictures beside a divider, or not.
   * @param {number | null} share - of the width that shows the picture before
   */
  setWipe(share) {
    this.wipe = share;
    this.ask();
  }

  /** Redraw in the next frame. */
  ask() {
    if (!this.frameAsked) this.frameAsked = requestAnimationFrame(() => this.redraw());
  }

  /** Compose and draw, and remember how long it took. */
  redraw() {
    this.frameAsked = 0;
    if (!this.before) return;
    const start = performance.now();
    if (this.compose) {
      this.small.getContext("2d")?.putImageData(this.enlarger.enlarge(this.compose()), 0, 0);
      this.compose = null;
    }
    this.draw(this.before);
    this.timings.push(performance.now() - start);
    if (this.timings.length > KEPT) this.timings.shift();
    this.changed(this.holding ? "before" : this.shown);
  }

  /**
   * Draw what is in sight.
   * @param {CanvasImageSource} before
   */
  draw(before) {
    const { width, height } = this.canvas;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.imageSmoothingQuality = "high";
    const after = this.shown === "true" && this.true ? this.true : this.small;
    context.drawImage(this.holding ? before : after, 0, 0, width, height);
    this.frame.classList.toggle("pb-wiping", this.wipe !== null && !this.holding);
    if (this.wipe === null || this.holding) return;
    context.save();
    context.beginPath();
    context.rect(0, 0, Math.round(this.wipe * width), height);
    context.clip();
    context.drawImage(before, 0, 0, width, height);
    context.restore();
    this.frame.style.setProperty("--pb-wipe", `${100 * this.wipe}%`);
  }

  /** Make the canvas as large as its place allows, in the picture's aspect. */
  fit() {
    const [width, height] = this.size;
    const { clientWidth, clientHeight } = this.element;
    if (!this.before || !clientWidth || !clientHeight) return;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    const shown = [Math.round(width * scale), Math.round(height * scale)];
    this.frame.style.width = `${shown[0]}px`;
    this.frame.style.height = `${shown[1]}px`;
    const sharp = Math.min(window.devicePixelRatio || 1, MOST / Math.max(...shown));
    const pixels = shown.map((edge) => Math.max(1, Math.round(edge * sharp)));
    if (this.canvas.width === pixels[0] && this.canvas.height === pixels[1]) return;
    [this.canvas.width, this.canvas.height] = pixels;
    this.redraw(); // now: a canvas whose size changes is empty
  }

  /**
   * Where a pointer is on the picture.
   * @param {PointerEvent} event
   * @returns {[number, number]} shares of width and height, beyond 0 and 1 outside the picture
   */
  place(event) {
    const box = this.frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** Let the divider be dragged. */
  listenToDivider() {
    const move = (/** @type {PointerEvent} */ event) => {
      if (!this.divider.hasPointerCapture(event.pointerId)) return;
      this.setWipe(Math.min(1, Math.max(0, this.place(event)[0])));
    };
    this.divider.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      this.divider.setPointerCapture(event.pointerId);
    });
    this.divider.addEventListener("pointermove", move);
  }
}
