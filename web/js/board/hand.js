// What an artist does to a board: drag a slider, look at a cell, take it, paint a region.

import { isPainted } from "./paint.js";

const LIVE_LIMIT = 40; // milliseconds: where re-sorting takes longer, it waits for the end of the stroke

/** The hand on one board. Sliders, cells and the brush speak to it. */
export class Hand {
  /** @param {import("./control.js").Board} board */
  constructor(board) {
    this.board = board;
    this.held = /** @type {{id: string, at: (value: number) => ImageData} | null} */ (null);
    this.looking = false; // at a cell or a thumbnail, which is not the setting
    this.sorting = 0; // the frame in which the directions of a stroke are found
    this.cost = 0; // milliseconds of the last re-sorting
  }

  /**
   * Take hold of a slider: the picture without it is summed once.
   * @param {string} id
   */
  begin(id) {
    const { model } = this.board;
    const spec = model.find(id);
    if (!spec || !model.pictures) return;
    const line = model.pictures.hold(model.amounts(id), spec.weights);
    const { image } = this.board;
    this.looking = false;
    this.held = { id, at: (/** @type {number} */ value) => {
      line.at(value, image);
      return image;
    } };
  }

  /**
   * The held slider stands here now. The picture follows in the next frame.
   * @param {string} id
   * @param {number} value
   */
  move(id, value) {
    const { board, held } = this;
    if (!held || held.id !== id || board.model.values.get(id) === value) return;
    board.model.values.set(id, value);
    board.panel.sliders.get(id)?.set(value);
    board.stage.preview(() => held.at(value));
    board.showBadge();
  }

  /** Let go of the slider. */
  end() {
    if (!this.held) return;
    this.held = null;
    this.board.commit();
  }

  /**
   * Show how the picture would be with one slider elsewhere.
   * @param {string} id
   * @param {number} value
   */
  peek(id, value) {
    const { board } = this;
    if (this.held || !board.model.pictures) return;
    this.looking = true;
    board.stage.preview(() => board.compose(board.model.amountsWith(id, value)));
    board.showLook(id, value);
  }

  /** Show the setting again. */
  unpeek() {
    if (!this.looking) return;
    this.looking = false;
    this.board.showPicture();
  }

  /**
   * Take a direction at a strength.
   * @param {string} id
   * @param {number} value
   */
  choose(id, value) {
    this.begin(id);
    this.move(id, value);
    this.end();
  }

  /**
   * The mask during and after a stroke: directions re-sort at once where that is quick.
   * @param {Uint8Array} mask
   * @param {boolean} done
   */
  paint(mask, done) {
    if (done) {
      cancelAnimationFrame(this.sorting);
      this.sorting = 0;
      this.sort(mask);
      this.board.commit();
    } else if (!this.sorting && this.cost < LIVE_LIMIT) {
      this.sorting = requestAnimationFrame(() => {
        this.sorting = 0;
        this.sort(mask);
      });
    }
  }

  /**
   * Find the directions of a region.
   * @param {Uint8Array} mask
   */
  sort(mask) {
    const start = performance.now();
    this.board.model.setMask(isPainted(mask) ? mask.slice() : null);
    this.board.rebuild();
    this.cost = performance.now() - start;
  }

  /** Remove the region. */
  clear() {
    const { brush, model } = this.board;
    model.setMask(null);
    brush.setMask(null, brush.size[0], brush.size[1]);
    this.board.rebuild();
    this.board.commit();
  }
}
