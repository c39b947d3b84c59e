// The sheet of the Basis Visualizer as elements: cells that can be chosen, with labels in the page's own
// letters.

import { element } from "../page/dom.js";
import { fileUrl } from "../page/outputs.js";
import { text } from "../page/strings.js";
import { styleElement } from "./style.js";

/** @typedef {import("./takers.js").Cell} Cell */
/** @typedef {import("./takers.js").Sheet} Sheet */

const ENLARGED = 2.2; // times the size of a cell, for the one under the pointer
const LARGEST = 0.6; // of the sheet's width, for the same
const STEPS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
});

/** A sheet whose cells can be chosen. */
export class SheetView {
  /** @param {(sheet: Sheet, cell: Cell) => void} choose */
  constructor(choose) {
    this.choose = choose;
    /** @type {Sheet | null} */
    this.sheet = null;
    /** @type {HTMLButtonElement[]} */
    this.buttons = [];
    this.badge = element("div", { class: "pv-badge", hidden: true });
    this.table = element("div", { class: "pv-table", role: "grid" });
    this.lens = element("div", { class: "pv-lens", hidden: true });
    this.note = element("div", { class: "pv-note", role: "status", "data-pullback": "note" });
    this.area = element("div", { class: "pv-area" }, [this.table, this.lens]);
    this.element = element("div", { class: "pullback-sheet", "data-pullback": "visualizer" }, [
      styleElement(), this.badge, this.area, this.note,
    ]);
    this.area.addEventListener("keydown", (event) => this.moveFocus(event));
    this.area.addEventListener("scroll", () => this.enlarge(null));
    this.say(text("cells.empty"));
  }

  /**
   * Show a sheet. One that is shown already, and comes again with another run, stays as it is.
   * @param {Sheet} sheet
   */
  show(sheet) {
    if (this.sheet && JSON.stringify(this.sheet) === JSON.stringify(sheet)) return;
    this.sheet = sheet;
    const url = fileUrl(sheet.file);
    this.badge.hidden = sheet.made === "full";
    this.badge.textContent = madeText(sheet);
    this.buttons = sheet.cells.map((cell) => this.cellOf(sheet, cell, url));
    const columns = sheet.columns.length;
    this.table.style.setProperty("--pv-columns", String(columns));
    const headings = [element("div"), ...sheet.columns.map((label) => heading(label))];
    const rows = sheet.rows.flatMap((row, index) => [
      rowLabel(row.label, row.notes), ...this.buttons.slice(index * columns, (index + 1) * columns),
    ]);
    this.table.replaceChildren(...headings, ...rows);
    if (this.buttons[0]) this.buttons[0].tabIndex = 0;
    this.enlarge(null);
    this.say(text("cells.tip"));
    const probe = new Image();
    probe.onerror = () => this.lose(sheet);
    probe.src = url;
  }

  /**
   * The server no longer has the file of a sheet.
   * @param {Sheet} sheet
   */
  lose(sheet) {
    if (this.sheet !== sheet) return;
    this.sheet = null;
    this.badge.hidden = true;
    this.table.replaceChildren();
    this.say(text("cells.gone"));
  }

  /**
   * Say something below the sheet.
   * @param {string} words
   */
  say(words) {
    this.note.textContent = words;
  }

  /**
   * Mark the cell that was chosen last.
   * @param {Cell} cell
   */
  mark(cell) {
    const index = this.sheet?.cells.indexOf(cell) ?? -1;
    this.buttons.forEach((button, number) => button.setAttribute("aria-pressed", String(number === index)));
  }

  /**
   * A cell as a button that shows its part of the sheet's file.
   * @param {Sheet} sheet
   * @param {Cell} cell
   * @param {string} url
   * @returns {HTMLButtonElement}
   */
  cellOf(sheet, cell, url) {
    const strength = signed(cell.strength);
    const label = text("cells.cell", { direction: cell.direction, strength });
    const button = element("button", {
      class: "pv-cell", type: "button", tabindex: "-1", "aria-label": label, "aria-pressed": "false",
      "data-pullback": "cell", "data-row": cell.direction - 1, "data-strength": cell.strength,
      style: `aspect-ratio: ${cell.width} / ${cell.height}; ${partOf(sheet, cell, url)}`,
      onclick: () => {
        this.enlarge(null);
        this.choose(sheet, cell);
      },
      onpointerenter: () => this.enlarge(cell, button, url),
      onpointerleave: () => this.enlarge(null),
      onfocus: () => {
        for (const other of this.buttons) other.tabIndex = other === button ? 0 : -1;
        if (button.matches(":focus-visible")) this.enlarge(cell, button, url);
      },
      onblur: () => this.enlarge(null),
    });
    return button;
  }

  /**
   * Show a cell enlarged, above its place; or none.
   * @param {Cell | null} cell
   * @param {HTMLElement} [button]
   * @param {string} [url]
   */
  enlarge(cell, button, url = "") {
    this.lens.hidden = !cell;
    if (!cell || !button || !this.sheet) return;
    const [across, down] = [this.area.clientWidth, this.area.clientHeight];
    const ratio = cell.height / cell.width;
    const least = Math.max(button.offsetWidth * ENLARGED, Math.min(cell.width, across * LARGEST));
    const width = Math.min(least, across, down / ratio);
    const height = width * ratio;
    const left = button.offsetLeft + button.offsetWidth / 2 - width / 2;
    const top = button.offsetTop + button.offsetHeight / 2 - height / 2 - this.area.scrollTop;
    const x = Math.min(Math.max(left, 0), across - width);
    const y = Math.min(Math.max(top, 0), down - height) + this.area.scrollTop;
    this.lens.style.cssText = `left: ${x}px; top: ${y}px; width: ${width}px; height: ${height}px;`
      + partOf(this.sheet, cell, url);
    this.lens.textContent = text("cells.cell", {
      direction: cell.direction, strength: signed(cell.strength),
    });
  }

  /**
   * Go from cell to cell by the arrow keys.
   * @param {KeyboardEvent} event
   */
  moveFocus(event) {
    const step = STEPS[event.key];
    const from = this.buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (!step || from < 0 || !this.sheet) return;
    event.preventDefault();
    event.stopPropagation();
    const columns = this.sheet.columns.length;
    const column = (from % columns) + step[1];
    const next = this.buttons[(Math.floor(from / columns) + step[0]) * columns + column];
    if (column >= 0 && column < columns) next?.focus();
  }
}

/**
 * What the badge says of how a sheet was made.
 * @param {Sheet} sheet
 * @returns {string}
 */
function madeText(sheet) {
  if (sheet.made === "draft") return text("cells.made_draft", { levels: sheet.levels });
  if (sheet.made === "preview") return text("cells.made_preview");
  return sheet.made === "forecast" ? text("cells.made_forecast") : "";
}

/**
 * The CSS that shows a part of a sheet's file as a background of any size.
 * @param {Sheet} sheet
 * @param {Cell} cell
 * @param {string} url
 * @returns {string}
 */
function partOf(sheet, cell, url) {
  const [width, height] = sheet.size;
  const across = (100 * cell.x) / Math.max(1, width - cell.width);
  const down = (100 * cell.y) / Math.max(1, height - cell.height);
  return `background-image: url("${url}");`
    + `background-size: ${(100 * width) / cell.width}% ${(100 * height) / cell.height}%;`
    + `background-position: ${across}% ${down}%;`;
}

/**
 * A strength with its sign.
 * @param {number} strength
 * @returns {string}
 */
function signed(strength) {
  const rounded = Number(strength.toFixed(2));
  return rounded > 0 ? `+${rounded}` : String(rounded);
}

/**
 * The heading of a column.
 * @param {string} label
 * @returns {HTMLElement}
 */
function heading(label) {
  return element("div", { class: "pv-heading", role: "columnheader", text: label });
}

/**
 * The label of a row, with its notes.
 * @param {string} label
 * @param {string} notes
 * @returns {HTMLElement}
 */
function rowLabel(label, notes) {
  return element("div", { class: "pv-label", role: "rowheader", title: `${label}\n${notes}` }, [
    element("strong", { text: label }), element("span", { text: notes }),
  ]);
}
