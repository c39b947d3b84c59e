// A board: the setting, the view, and what happens between a release and the true picture.

import { text } from "../page/strings.js";
import { Brush } from "./brush.js";
import { Hand } from "./hand.js";
import { Keep } from "./keep.js";
import { listenToKeys, listenToPicture } from "./listen.js";
import { drawBefore, isSameMask, loadMask, loadPicture, loadPictures } from "./load.js";
import { BoardModel } from "./model.js";
import { Runner } from "./run.js";
import { Sheet } from "./sheet.js";
import { signed } from "./slider.js";
import { SliderPanel, labelOf } from "./sliders.js";
import { Stage } from "./stage.js";
import { View } from "./view.js";
import { Words } from "./words.js";

const AGREES = 0.85; // cosine of previewed and true change; below it the badge warns

/** One board, of one node. */
export class Board {
  /** @param {import("./types.js").BoardHost} host */
  constructor(host) {
    this.host = host;
    this.model = new BoardModel();
    this.stage = new Stage((shows) => this.shows(shows));
    this.hand = new Hand(this);
    this.view = new View(this.actions(), this.stage);
    this.element = this.view.element;
    this.runner = new Runner(this);
    this.panel = new SliderPanel(this.hand, () => this.rebuild());
    this.words = new Words({ ...host, run: () => this.runner.run() }, this.panel.words);
    this.sheet = new Sheet(this.hand);
    this.keep = new Keep(host, () => (this.model.isSet ? this.model.write() : ""));
    this.brush = new Brush(this.stage, this.hand);
    this.view.head.append(this.brush.element);
    for (const part of [this.panel, this.words.fold, this.sheet.fold, this.keep.fold]) {
      this.view.panel.append(part.element);
    }
    this.image = new ImageData(1, 1); // what is composed into
    this.truth = /** @type {CanvasImageSource | null} */ (null); // the true picture of the last run
    this.takes = 0;
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
      run: () => this.runner.run(),
      cancel: () => this.host.cancel(),
      live: (/** @type {boolean} */ live) => {
        this.host.setLive(live);
        this.runner.runIfLive();
      },
    };
  }

  /**
   * Change a tool, and show it.
   * @param {() => void} change
   */
  toggle(change) {
    change();
    this.showTools();
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
      this.runner.fail(error);
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
    this.words.ran(payload);
    if (!this.hand.held) this.refresh();
  }

  /** Make sliders and cells anew. */
  rebuild() {
    this.panel.build(this.model);
    const { regional, sliders } = this.panel;
    const shown = this.model.sliders.filter(({ id }) => sliders.has(id));
    const wanted = regional ? "region" : "direction";
    this.sheet.build(this.model, shown.filter(({ kind }) => kind === "word" || kind === wanted));
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
      ran: model.pictures !== null,
      undo: model.past.length > 0,
      redo: model.future.length > 0,
      set: model.isSet,
      wipe: stage.wipe !== null,
      brush: brush.active,
      live: this.host.isLive(),
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
    else if (stage.shown !== "true") {
      const kind = model.isBeyond(model.amounts()) ? "beyond" : "preview";
      view.setBadge(kind, text(`board.badge_${kind}`));
    } else if (agreement === undefined) view.setBadge("true", text("board.badge_true"));
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
    const isBeyond = this.model.isBeyond(this.model.amountsWith(id, value));
    if (spec) this.view.setBadge(isBeyond ? "beyond" : "preview", `${labelOf(spec)} ${signed(value)}`);
  }

  /** Remember the setting, write it into the node, and run if the board is live. */
  commit() {
    if (!this.model.payload) return;
    if (this.model.commit()) this.host.writeState(this.model.text);
    this.refresh();
    this.runner.runIfLive();
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
    if (!this.host.isLive()) this.runner.run();
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
    this.runner.runIfLive();
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
}
