// What runs, how far it is, and what went wrong: one line over the picture.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { icon, press } from "./controls.js";

/** The line over the picture. */
export class Status {
  /** @param {() => void} cancel */
  constructor(cancel) {
    this.words = element("span", { class: "pb-status-words" });
    this.stop = press(text("board.cancel"), [icon("stop")], () => (this.busy ? cancel() : this.show("")));
    this.stop.input.dataset.pullback = "cancel";
    this.bar = element("div", { class: "pb-bar" });
    this.element = element("div", { class: "pb-status", role: "status", "data-pullback": "note" }, [
      this.words, this.stop, this.bar,
    ]);
    this.busy = false;
    this.show("");
  }

  /**
   * Show a sentence, or nothing.
   * @param {string} sentence
   * @param {"said" | "error" | "busy"} [how]
   */
  show(sentence, how = "said") {
    this.busy = how === "busy";
    this.words.textContent = sentence;
    this.words.title = sentence;
    this.element.hidden = !sentence;
    this.element.classList.toggle("pb-error", how === "error");
    this.element.classList.toggle("pb-busy", this.busy);
    this.stop.input.title = this.busy ? text("board.cancel") : text("board.close");
    this.stop.input.ariaLabel = this.stop.input.title;
    this.progress(0);
  }

  /**
   * Show how far a run is.
   * @param {number} share - from 0 to 1
   */
  progress(share) {
    this.bar.style.width = `${Math.round(100 * share)}%`;
  }
}
