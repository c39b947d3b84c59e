// Buttons of the board. Each holds a real <input>: the page leaves Ctrl+Z alone while an input has the focus.

import { element } from "../page/dom.js";

const SVG = "http://www.w3.org/2000/svg";

// Lines in a square of 16 x 16.
const ICONS = {
  before: "M1.5 8C3.5 4.7 5.6 3.2 8 3.2S12.5 4.7 14.5 8C12.5 11.3 10.4 12.8 8 12.8S3.5 11.3 1.5 8Z"
    + "M8 5.8A2.2 2.2 0 1 0 8 10.2 2.2 2.2 0 1 0 8 5.8",
  wipe: "M2 3H14V13H2ZM8 1V15M5.7 6.3 4 8 5.7 9.7M10.3 6.3 12 8 10.3 9.7",
  brush: "M13.8 2.2 7.3 8.7M9 9.6 6.5 7.1C4.5 7.6 4.7 10.5 2 11.5 3.5 13.8 8.5 13.5 9 9.6",
  erase: "M6.2 13.2 2.4 9.4 9 2.8 13.6 7.4 7.8 13.2ZM5.6 6.2 10.2 10.8M5 13.2H14",
  undo: "M6 3 2.5 6.5 6 10M2.5 6.5H9.5A3.5 3.5 0 0 1 9.5 13.5H6.5",
  redo: "M10 3 13.5 6.5 10 10M13.5 6.5H6.5A3.5 3.5 0 0 0 6.5 13.5H9.5",
  reset: "M3 3V6.5H6.5M3.2 6.3A5.3 5.3 0 1 1 2.8 9.2",
  run: "M4.5 2.8V13.2L13 8Z",
  stop: "M4 4 12 12M12 4 4 12",
  open: "M3.5 6 8 10.5 12.5 6",
  form: "M2.5 9.5A4 4 0 1 1 10 7.7M6.5 7.5H13.5V14H6.5Z",
  colour: "M8 1.8C11 5.4 12.5 7.6 12.5 9.6A4.5 4.5 0 0 1 3.5 9.6C3.5 7.6 5 5.4 8 1.8ZM8 11.8"
    + "A2.2 2.2 0 0 0 10.2 9.6",
  region: "M3 6V3H6M10 3H13V6M13 10V13H10M6 13H3V10M8 6.5A1.5 1.5 0 1 0 8 9.5 1.5 1.5 0 1 0 8 6.5",
  words: "M3 4H13M8 4V13M6 13H10M3 4V6M13 4V6",
  sheet: "M2.5 2.5H13.5V13.5H2.5ZM2.5 6.2H13.5M2.5 9.8H13.5M6.2 2.5V13.5M9.8 2.5V13.5",
  keep: "M4 2.5H12V13.5L8 10.3 4 13.5Z",
  clear: "M3 4.5H13M6.2 4.5V2.8H9.8V4.5M4.3 4.5 5 13.5H11L11.7 4.5M6.8 7V11M9.2 7V11",
};

/**
 * An icon of lines in the colour of the text.
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

/**
 * A button: what is seen, with a real input of the same size above it.
 * @param {string} label - what it does, for screen readers and as tooltip
 * @param {(Node | string)[]} content - what is seen
 * @param {() => void} action
 * @param {string} [className]
 * @returns {HTMLSpanElement & {input: HTMLInputElement}}
 */
export function press(label, content, action, className = "") {
  const input = element("input", { type: "button", "aria-label": label, title: label });
  input.addEventListener("click", () => {
    if (input.getAttribute("aria-disabled") !== "true") action();
  });
  const shell = element("span", { class: `pb-press ${className}` }, [...content, input]);
  return Object.assign(shell, { input });
}

/**
 * Mark a button as pressed or not, for the eye and for screen readers.
 * @param {HTMLSpanElement & {input: HTMLInputElement}} button
 * @param {boolean} pressed
 */
export function setPressed(button, pressed) {
  button.classList.toggle("pb-pressed", pressed);
  button.input.setAttribute("aria-pressed", String(pressed));
}

/**
 * Make a button usable or not. It keeps the focus, which the keys of the board depend on.
 * @param {HTMLSpanElement & {input: HTMLInputElement}} button
 * @param {boolean} enabled
 */
export function setEnabled(button, enabled) {
  button.classList.toggle("pb-off", !enabled);
  button.input.setAttribute("aria-disabled", String(!enabled));
}

/** A part of the panel that folds: a heading, and what is below it. */
export class Fold {
  /**
   * @param {keyof typeof ICONS} mark - the icon of its heading
   * @param {string} title
   * @param {boolean} open - whether it begins open
   * @param {(open: boolean) => void} [changed]
   */
  constructor(mark, title, open, changed) {
    this.name = element("span", { class: "pb-fold-title" }, [title]);
    this.said = element("span", { class: "pb-fold-said" });
    const content = [icon(mark), this.name, this.said, icon("open")];
    this.head = press(title, content, () => this.set(!this.open), "pb-fold-head");
    this.head.input.title = "";
    this.body = element("div", { class: "pb-fold-body" });
    this.element = element("section", { class: "pb-fold" }, [this.head, this.body]);
    this.changed = changed;
    this.open = open;
    this.show();
  }

  /**
   * Open or close it.
   * @param {boolean} open
   */
  set(open) {
    if (open === this.open) return;
    this.open = open;
    this.show();
    this.changed?.(open);
  }

  /** Show whether it is open. */
  show() {
    this.element.classList.toggle("pb-open", this.open);
    this.head.input.setAttribute("aria-expanded", String(this.open));
  }
}
