// The sliders in their groups: in the region, form, colour. Eight are in sight, "more" shows the rest.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { Fold, press } from "./controls.js";
import { partOf } from "./mask_text.js";
import { preparations } from "./region.js";
import { Slider, VISIBLE } from "./slider.js";
import { Tasks } from "./tasks.js";

const IN_SIGHT = 8; // directions that are shown at first
const THUMBNAIL = 88; // pixels of the longer edge, twice what is seen
const CLOSE_UP = 128; // of the whole picture whose painted part is shown; the size of the sheet's cells

const GROUPS = /** @type {const} */ (["region", "form", "colour"]);

/**
 * The group of a slider.
 * @param {import("./types.js").SliderSpec} spec
 */
function groupOf({ kind, colour }) {
  if (kind === "direction") return colour ? "colour" : "form";
  return kind === "rest" ? "region" : kind;
}

/**
 * What a slider is called.
 * @param {import("./types.js").SliderSpec} spec
 * @returns {string}
 */
export function labelOf({ kind, name, index }) {
  if (name) return name;
  if (kind === "rest") return text("board.earlier_regions");
  return text(kind === "region" ? "board.region_number" : "board.direction_number", { number: index + 1 });
}

/**
 * What the look of a slider depends on.
 * @param {import("./types.js").SliderSpec} spec
 * @returns {unknown[]}
 */
function described({ id, name, range, colour, share, weights }) {
  return [id, name, range, colour, share, ...weights];
}

/**
 * Put pixels into a canvas of their size.
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} pixels
 */
export function showPixels(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/** All sliders of a board. */
export class SliderPanel {
  /**
   * @param {import("./slider.js").SliderHost} host
   * @param {() => void} more - told when more or fewer sliders are shown
   */
  constructor(host, more) {
    this.host = host;
    this.all = false; // whether all directions are shown
    this.more = more;
    /** @type {Map<string, Slider>} */
    this.sliders = new Map();
    this.tasks = new Tasks();
    this.folds = {
      region: new Fold("region", text("board.in_region"), true),
      form: new Fold("form", text("board.form"), true),
      colour: new Fold("colour", text("board.colour"), true),
    };
    this.moreLine = element("div", { class: "pb-more" });
    this.element = element("div", { class: "pb-groups" }, [
      this.folds.region.element, this.folds.form.element, this.folds.colour.element, this.moreLine,
    ]);
    this.words = element("div", { class: "pb-slider-list" }); // the words' field shows it below itself
    this.regional = false;
    this.built = ""; // what the sliders were made of
  }

  /**
   * Make the sliders anew, for other directions or another region.
   * @param {import("./model.js").BoardModel} model
   */
  build(model) {
    const regional = model.sliders.some(({ kind }) => kind === "region");
    if (regional !== this.regional) { // plain sliders step aside for those of a region
      this.folds.form.set(!regional);
      this.folds.colour.set(!regional);
      this.folds.region.set(true);
      this.regional = regional;
    }
    const built = JSON.stringify([this.all, model.sliders.map(described)]);
    if (built === this.built) { // the same sliders: they stay, and so does the focus
      this.values(model);
      return;
    }
    this.built = built;
    this.sliders = new Map();
    const lists = { region: this.list(), form: this.list(), colour: this.list(), word: this.words };
    this.words.replaceChildren();
    for (const spec of model.sliders) {
      if (spec.kind === "direction" && spec.index >= IN_SIGHT && !this.all) continue;
      const slider = new Slider(spec, labelOf(spec), this.host);
      this.sliders.set(spec.id, slider);
      lists[groupOf(spec)].append(slider.element);
    }
    for (const name of GROUPS) {
      this.folds[name].body.replaceChildren(lists[name]);
      this.folds[name].element.hidden = !lists[name].childElementCount;
    }
    this.showMore(regional ? 0 : model.directions);
    this.values(model);
    this.thumbnails(model);
  }

  /** An empty list of sliders. */
  list() {
    return element("div", { class: "pb-slider-list" });
  }

  /**
   * The button that shows all directions, where there are more.
   * @param {number} count
   */
  showMore(count) {
    this.moreLine.replaceChildren();
    if (count <= IN_SIGHT) return;
    const label = this.all ? text("board.fewer") : text("board.more", { count: count - IN_SIGHT });
    const button = press(label, [label], () => {
      this.all = !this.all;
      this.more();
    }, "pb-quiet");
    this.moreLine.append(button);
  }

  /**
   * Show the values of a setting.
   * @param {import("./model.js").BoardModel} model
   */
  values(model) {
    const set = { region: 0, form: 0, colour: 0, word: 0, hidden: 0 };
    for (const spec of model.sliders) {
      const value = model.values.get(spec.id) ?? 0;
      const slider = this.sliders.get(spec.id);
      slider?.set(value);
      if (Math.abs(value) >= VISIBLE) set[slider ? groupOf(spec) : "hidden"] += 1;
    }
    this.moreLine.classList.toggle("pb-set", set.hidden > 0); // a direction out of sight is set
    for (const name of GROUPS) {
      this.folds[name].said.textContent = set[name] ? text("board.count_set", { count: set[name] }) : "";
    }
  }

  /**
   * Make the thumbnails at both ends of each slider, while the page is idle.
   * @param {import("./model.js").BoardModel} model
   */
  thumbnails(model) {
    const { pictures } = model;
    if (!pictures) return;
    const pieces = [];
    const part = partOf(model.region);
    for (const slider of this.sliders.values()) {
      const ends = /** @type {[HTMLCanvasElement, number][]} */ ([[slider.low, -1], [slider.high, 1]]);
      for (const [canvas, sign] of ends) {
        const amounts = slider.spec.weights.map((weight) => sign * weight);
        pieces.push(() => {
          const isNear = part && slider.spec.kind === "region"; // what a region's slider does is small
          const pixels = isNear ? pictures.closeUp(amounts, CLOSE_UP, part) : null;
          showPixels(canvas, pixels ?? pictures.thumbnail(amounts, THUMBNAIL));
        });
      }
    }
    this.tasks.set([...pieces, ...preparations(pictures, CLOSE_UP)]);
  }
}
