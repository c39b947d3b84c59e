// The sheet: each direction at several strengths, as small pictures on top of the present setting.
//
// A cell shows what the picture becomes if that one slider goes there. So a click delivers what is seen.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { Fold, press } from "./controls.js";
import { signed } from "./slider.js";
import { labelOf, showPixels } from "./sliders.js";
import { Tasks } from "./tasks.js";

const STRENGTHS = [-2, -1, 1, 2];
const CELL = 128; // pixels of the longer edge of a cell's picture

/**
 * What the sheet asks of the board.
 * @typedef {{peek: (id: string, value: number) => void, unpeek: () => void,
 *   choose: (id: string, value: number) => void}} SheetHost
 */

/** The part of the panel with the sheet. */
export class Sheet {
  /** @param {SheetHost} host */
  constructor(host) {
    this.host = host;
    this.model = /** @type {import("./model.js").BoardModel | null} */ (null);
    this.shown = /** @type {import("./types.js").SliderSpec[]} */ ([]);
    this.cells = /** @type {{spec: import("./types.js").SliderSpec, strength: number,
      button: ReturnType<typeof press>, canvas: HTMLCanvasElement}[]} */ ([]);
    this.tasks = new Tasks();
    this.fold = new Fold("sheet", text("board.sheet"), false, (open) => open && this.fill());
    this.fold.head.input.dataset.pullback = "sheet";
    this.grid = element("div", { class: "pb-sheet", role: "grid", "aria-label": text("board.sheet") });
    this.fold.body.append(this.grid);
    this.grid.addEventListener("keydown", (event) => this.step(event));
  }

  /**
   * Make the cells of these sliders.
   * @param {import("./model.js").BoardModel} model
   * @param {import("./types.js").SliderSpec[]} shown
   */
  build(model, shown) {
    this.model = model;
    this.cells = [];
    const head = STRENGTHS.map((strength) => element("span", { class: "pb-sheet-head" }, [signed(strength)]));
    const rows = [element("div", { class: "pb-sheet-row", role: "row" }, [element("span"), ...head])];
    for (const spec of shown) {
      const cells = STRENGTHS.map((strength) => this.cell(spec, strength));
      const short = spec.name || String(spec.index + 1);
      const name = element("span", { class: "pb-sheet-name", title: labelOf(spec) }, [short]);
      rows.push(element("div", { class: "pb-sheet-row", role: "row" }, [name, ...cells]));
    }
    this.grid.classList.toggle("pb-named", shown.some(({ name }) => name));
    this.grid.replaceChildren(...rows);
    this.cells[0]?.button.input.removeAttribute("tabindex");
    if (this.fold.open) this.fill();
  }

  /**
   * One cell.
   * @param {import("./types.js").SliderSpec} spec
   * @param {number} strength
   * @returns {HTMLElement}
   */
  cell(spec, strength) {
    const canvas = element("canvas", { width: 1, height: 1 });
    const beyond = strength < -spec.range[0] || strength > spec.range[1];
    const said = `${labelOf(spec)} ${signed(strength)}`;
    const label = beyond ? text("board.cell_beyond", { cell: said }) : said;
    const choose = () => this.host.choose(spec.id, strength);
    const button = press(label, [canvas], choose, beyond ? "pb-cell pb-beyond" : "pb-cell");
    Object.assign(button.input.dataset, { pullback: "cell", row: spec.index, strength });
    button.setAttribute("role", "gridcell");
    button.input.tabIndex = -1; // arrows lead from cell to cell
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") this.host.peek(spec.id, strength);
    });
    button.addEventListener("pointerleave", () => this.host.unpeek());
    this.cells.push({ spec, strength, button, canvas });
    return button;
  }

  /** Draw the cells on top of the present setting, while the page is idle. */
  fill() {
    const { model } = this;
    if (!this.fold.open || !model?.pictures) return;
    const { pictures } = model;
    this.tasks.set(this.cells.map(({ spec, strength, canvas, button }) => () => {
      button.classList.toggle("pb-chosen", model.values.get(spec.id) === strength);
      showPixels(canvas, pictures.thumbnail(model.amountsWith(spec.id, strength), CELL));
    }));
  }

  /**
   * Lead the focus from cell to cell.
   * @param {KeyboardEvent} event
   */
  step(event) {
    const across = STRENGTHS.length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
    const step = event.key in steps ? steps[/** @type {keyof typeof steps} */ (event.key)] : 0;
    if (!step) return;
    event.preventDefault();
    const at = this.cells.findIndex(({ button }) => button.input === document.activeElement);
    this.cells[at + step]?.button.input.focus();
  }
}
