// Work that may wait, such as thumbnails: done in small pieces while the page is idle.

const SLICE = 8; // milliseconds of work between two looks at the clock; half a frame

/** A list of pieces of work. A new list takes the place of the old one. */
export class Tasks {
  /** Nothing waits yet. */
  constructor() {
    this.waiting = /** @type {(() => void)[]} */ ([]);
    this.asked = false;
  }

  /**
   * Do these pieces, one after another, instead of what is waiting.
   * @param {(() => void)[]} pieces
   */
  set(pieces) {
    this.waiting = pieces.slice();
    this.ask();
  }

  /** Go on as soon as the page is idle. Safari has no `requestIdleCallback`. */
  ask() {
    if (this.asked || !this.waiting.length) return;
    this.asked = true;
    if (window.requestIdleCallback) window.requestIdleCallback(() => this.work(), { timeout: 200 });
    else setTimeout(() => this.work(), 16);
  }

  /** Do pieces for a short while. */
  work() {
    this.asked = false;
    const end = performance.now() + SLICE;
    while (this.waiting.length && performance.now() < end) this.waiting.shift()?.();
    this.ask();
  }
}
