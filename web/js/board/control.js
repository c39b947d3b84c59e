// A board: the setting, the view, and what happens between a release and the true picture.

import { text } from "../page/strings.js";
import { Brush } from "./brush.js";
import { Hand } from "./hand.js";
import { Keep } from "./keep.js";
import { listenToKeys, listenToPicture } from "./listen.js";
import { drawBefore, isSameMask, loadMask, loadPicture, loadPictures } from "./load.js";
import { BoardModel } from "./model.js";
import { Sheet } from "./sheet.js";
import { signed } from "./slider.js";
import { SliderPanel, labelOf } from "./sliders.js";
import { Stage } from "./stage.js";
import { View } from "./view.js";
import { Words } from "./words.js";

const AGREES = 0.85; // cosine of previewed and true change; below it the badge warns
const SETTLED = 150; // milliseconds after a release until the run, so that a quick second change joins in

/** One board, of one node. */
export class Board {
  /** @param {import("./types.js").BoardHost} host */
  constructor(host) {
    this.host = host;
    this.model = new BoardModel();
    this.stage = new Stage((shows) => this.shows(shows));
    this.hand = new Hand(this);
    this.view = new View(this.actions(), this.stage);
    this.panel = new SliderPanel(this.hand, () => this.rebuild());
    this.words = new Words({ ...host, run: () => this.run() }, this.panel.words);
    this.sheet = new Sheet(this.hand);
    this.keep = new Keep(host, () => (this.model.isSet ? this.model.write() : ""));
    this.brush = new Brush(this.stage, (mask, done) => this.hand.paint(mask, done), () => this.hand.clear());
    this.view.head.append(this.brush.element);
    const parts = [this.panel.element, this.words.fold.element, this.sheet.fold.element, this.keep.fold.element];
    this.view.panel.append(...parts);
    this.element = this.view.element;
    this.image = new ImageData(1, 1); // what is composed into
    this.truth = /** @type {CanvasImageSource | null} */ (null); // the true picture of the last run
    this.failure = ""; // what the server says of the run under way, if it fails
    this.takes = 0;
    this.runs = 0;
    this.settling = 0; // the timer between a release and its run
    listenToPicture(this);
    listenToKeys(this);
    this.refresh();
  }

  /** Milliseconds of the last redraws, by the page's own clock. */
  get timings() {
    return this.stage.timings;
  }

  /** What the tools do. */
  actions() {
    return {
      hold: (/** @type {boolean} */ holding) => this.stage.hold(holding && this.model.pictures !== null),
      wipe: () => this.toggle(() => this.stage.setWipe(this.stage.wipe === null ? 0.5 : null)),
      brush: () => this.toggle(() => this.brush.setActive(!this.brush.active)),
      undo: () => this.travel("past"),
      redo: () => this.travel("future"),
      reset: () => this.reset(),
      run: () => this.run(),
      cancel: () => this.host.cancel(),
      live: (/** @type {boolean} */ live) => this.toggle(() => this.host.setLive(live)),
    };
  }

  /**
   * Change a tool, and show it.
   * @param {() => void} change
   */
  toggle(change) {
    change();
    this.showTools();
    this.runIfLive();
  }

  /**
   * Take what a run made.
   * @param {import("./types.js").Payload} payload
   */
  async take(payload) {
    const take = ++this.takes;
    const { address } = this.host;
    try {
      const pictures = await loadPictures(payload, address);
      const truth = payload.true ? await loadPicture(address(payload.true)) : null;
      const { width, height, mask } = payload;
      const given = mask ? await loadMask(address(mask), width, height) : null;
      if (take !== this.takes) return; // a newer run came meanwhile
      this.truth = truth;
      this.accept(payload, pictures, given);
      if (!this.view.status.busy) this.view.status.show(payload.note ?? "");
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Show what a run made. A drag that goes on, and a setting that is newer, stay.
   * @param {import("./types.js").Payload} payload
   * @param {import("./pictures.js").BoardPictures} pictures
   * @param {Uint8Array | null} given - the mask of the node's input
   */
  accept(payload, pictures, given) {
    const { model } = this;
    if (pictures !== model.pictures || !isSameMask(given, model.given)) {
      this.hand.held = null;
      model.load(payload, pictures, given, this.host.readState());
      const { before, image } = drawBefore(pictures);
      this.image = image;
      this.stage.setBefore(before, payload.width, payload.height);
      this.brush.setMask(model.mask, payload.width, payload.height);
      this.rebuild();
    }
    model.payload = payload;
    this.words.ran(payload.rows);
    if (!this.hand.held) this.refresh();
  }

  /** Make sliders and cells anew. */
  rebuild() {
    this.panel.build(this.model);
    const { regional, sliders } = this.panel;
    const shown = this.model.sliders.filter(({ id }) => sliders.has(id));
    this.sheet.build(this.model, shown.filter(({ kind }) => kind === "word" || (kind === "region") === regional));
  }

  /** Show the setting: picture, badge, sliders, cells, tools. */
  refresh() {
    this.view.setEmpty(!this.model.pictures, this.host.missing());
    this.showPicture();
    this.panel.values(this.model);
    this.sheet.fill();
    this.words.refresh();
    this.keep.refresh();
    this.showTools();
  }

  /** Show the true picture if it is that of the setting, else the preview. */
  showPicture() {
    const { model, stage } = this;
    if (!model.pictures) return;
    if (model.isTrue && this.truth) stage.showTrue(this.truth);
    else stage.preview(() => this.compose(model.amounts()));
    this.showBadge();
  }

  /** Show which tools are on, and which can be used. */
  showTools() {
    const { model, stage, brush } = this;
    this.view.tools.show({
      ran: model.pictures !== null, undo: model.past.length > 0, redo: model.future.length > 0, set: model.isSet,
      wipe: stage.wipe !== null, brush: brush.active, live: this.host.isLive(),
    });
  }

  /**
   * The picture of these strengths.
   * @param {Float64Array} amounts
   * @returns {ImageData}
   */
  compose(amounts) {
    this.model.pictures?.compose(amounts, this.image);
    return this.image;
  }

  /**
   * Tell the view what the canvas shows.
   * @param {string} shows
   */
  shows(shows) {
    const unchanged = shows === "preview" && !this.model.isSet && !this.hand.looking;
    this.view.setShows(unchanged ? "before" : shows);
  }

  /** Say on the picture what is seen. */
  showBadge() {
    const { model, view, stage } = this;
    const { agreement } = model.payload ?? {};
    if (!model.isSet) view.setBadge("before", text("board.badge_before"));
    else if (stage.shown !== "true" && model.beyond) view.setBadge("beyond", text("board.badge_beyond"));
    else if (stage.shown !== "true") view.setBadge("preview", text("board.badge_preview"));
    else if (agreement === undefined) view.setBadge("true", text("board.badge_true"));
    else {
      const percent = Math.round(100 * agreement);
      view.setBadge(agreement < AGREES ? "differs" : "true", text("board.badge_agrees", { percent }));
    }
  }

  /**
   * Say on the picture that a cell or a thumbnail is looked at.
   * @param {string} id
   * @param {number} value
   */
  showLook(id, value) {
    const spec = this.model.find(id);
    if (spec) this.view.setBadge("preview", `${labelOf(spec)} ${signed(value)}`);
  }

  /** Remember the setting, write it into the node, and run if the board is live. */
  commit() {
    if (!this.model.payload) return;
    if (this.model.commit()) this.host.writeState(this.model.text);
    this.refresh();
    this.runIfLive();
  }

  /** Take over a state that something else wrote into the node. */
  readState() {
    const written = this.host.readState();
    const { model } = this;
    if (written === model.text) this.words.refresh();
    else this.show(() => model.replace(written));
  }

  /** Take over the widgets of a node that the page has just filled. There is no way back from there. */
  restore() {
    this.model.forget();
    this.show(() => this.model.apply(this.host.readState()));
  }

  /**
   * Set one direction, as a cell of another node's sheet asks for, and run.
   * @param {number} index - of the direction in the basis
   * @param {number} strength
   */
  takeCell(index, strength) {
    this.hand.choose(`direction:${index}`, strength);
    if (!this.host.isLive()) this.run();
  }

  /** Set all sliders to 0. */
  reset() {
    this.model.reset();
    this.commit();
  }

  /**
   * Go to the setting before, or forward again.
   * @param {"past" | "future"} where
   */
  travel(where) {
    const moved = this.show(() => this.model.travel(where));
    if (!moved) return;
    this.host.writeState(this.model.text);
    this.runIfLive();
  }

  /**
   * Change the whole setting, and show it.
   * @template T
   * @param {() => T} change
   * @returns {T}
   */
  show(change) {
    this.hand.held = null;
    const result = change();
    const { model, brush } = this;
    brush.setMask(model.mask, brush.size[0], brush.size[1]);
    this.rebuild();
    this.refresh();
    return result;
  }

  /** Run soon if the board is live and the true picture is not that of the setting. */
  runIfLive() {
    clearTimeout(this.settling);
    const { model, host } = this;
    if (!host.isLive() || !model.isSet || model.isTrue) return;
    this.settling = window.setTimeout(() => !this.hand.held && this.run(), SETTLED);
  }

  /** Make the true picture of the setting. */
  async run() {
    clearTimeout(this.settling);
    const run = ++this.runs;
    this.failure = "";
    this.setBusy(true);
    try {
      const outcome = await this.host.run();
      if (run !== this.runs) return; // a newer one is under way
      this.setBusy(false);
      if (outcome === "stopped") this.view.status.show(text("board.stopped"));
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
    this.element.dataset.busy = String(busy);
    if (busy) this.view.status.show(text("board.running"), "busy");
    else if (this.view.status.busy) this.view.status.show(this.model.payload?.note ?? "");
  }

  /**
   * Say how far the run is.
   * @param {string} title - of the node that the server computes now
   * @param {number} share - from 0 to 1
   */
  progress(title, share) {
    const running = text("board.running_node", { title });
    this.view.status.show(title ? running : text("board.running"), "busy");
    this.view.status.progress(share);
  }

  /**
   * Say what went wrong, in one line. The board goes on.
   * @param {unknown} error
   */
  fail(error) {
    this.setBusy(false);
    this.view.status.show(error instanceof Error ? error.message : String(error), "error");
  }
}
