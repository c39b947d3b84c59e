// Running the node of a board: soon after a release, one run at a time, with progress and what went wrong.

import { text } from "../page/strings.js";

const SETTLED = 150; // milliseconds after a release until the run, so that a quick second change joins in

/** The runs of one board. */
export class Runner {
  /** @param {import("./control.js").Board} board */
  constructor(board) {
    this.board = board;
    this.failure = ""; // what the server says of the run under way, if it fails
    this.runs = 0;
    this.settling = 0; // the timer between a release and its run
    this.busy = false;
    board.element.dataset.busy = "false";
  }

  /** Run soon if the board is live and the true picture is not that of the setting. */
  runIfLive() {
    clearTimeout(this.settling);
    const { model, host, hand } = this.board;
    if (!host.isLive() || !model.isSet || model.isTrue) return;
    this.settling = window.setTimeout(() => !hand.held && void this.run(), SETTLED);
  }

  /** Make the true picture of the setting. A newer run takes the place of one that is under way. */
  async run() {
    clearTimeout(this.settling);
    const missing = this.board.host.missing();
    if (missing.length) {
      this.fail(new Error(text("board.empty_connect", { inputs: missing.join(", ") })));
      return;
    }
    const run = ++this.runs;
    this.failure = "";
    this.setBusy(true);
    try {
      const outcome = await this.board.host.run();
      if (run !== this.runs) return;
      this.setBusy(false);
      if (outcome === "stopped") this.board.view.status.show(text("board.stopped"));
      if (outcome === "failed") this.fail(new Error(this.failure || text("board.failed")));
    } catch (error) {
      if (run === this.runs) this.fail(error);
    }
  }

  /**
   * Say that a run is under way, or that none is.
   * @param {boolean} busy
   */
  setBusy(busy) {
    const { element, model, view } = this.board;
    this.busy = busy;
    element.dataset.busy = String(busy);
    if (busy) view.status.show(text("board.running"), "busy");
    else if (view.status.busy) view.status.show(model.payload?.note ?? "");
  }

  /**
   * Say how far the run is.
   * @param {string} title - of the node that the server computes now
   * @param {number} share - from 0 to 1
   */
  progress(title, share) {
    const { status } = this.board.view;
    status.show(title ? text("board.running_node", { title }) : text("board.running"), "busy");
    status.progress(share);
  }

  /**
   * Say what went wrong, in one line. The board goes on.
   * @param {unknown} error
   */
  fail(error) {
    this.setBusy(false);
    this.board.view.status.show(error instanceof Error ? error.message : String(error), "error");
  }
}
