// Keep: the present mix gets a name and goes to the library. Below it, what the library has.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { Fold, press, setEnabled } from "./controls.js";

/** The part of the panel that keeps directions, and lists those that are kept. */
export class Keep {
  /**
   * @param {import("./types.js").BoardHost} host
   * @param {() => string} state - the setting to keep, as text; empty if nothing is set
   */
  constructor(host, state) {
    this.host = host;
    this.state = state;
    this.field = element("input", {
      type: "text",
      class: "pb-field",
      placeholder: text("board.keep_name"),
      "aria-label": text("board.keep_name"),
      "data-pullback": "keep-name",
    });
    this.button = press(text("board.keep"), [text("board.keep")], () => this.save(), "pb-strong");
    this.button.input.dataset.pullback = "keep-save";
    this.said = element("div", { class: "pb-said", role: "status" });
    this.grid = element("div", { class: "pb-kept", "data-pullback": "library" });
    this.fold = new Fold("keep", text("board.keep_title"), false, (open) => open && this.list());
    this.fold.head.input.dataset.pullback = "keep";
    const line = element("div", { class: "pb-line" }, [this.field, this.button]);
    this.fold.body.append(line, this.said, this.grid);
    this.field.addEventListener("input", () => this.refresh());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) this.save();
    });
    this.refresh();
  }

  /** Whether there is something to keep, and a name for it. */
  get isReady() {
    return Boolean(this.field.value.trim() && this.state());
  }

  /** Offer the button where something can be kept. */
  refresh() {
    setEnabled(this.button, this.isReady);
    this.button.input.title = this.state() ? "" : text("board.keep_nothing");
  }

  /** Keep the present setting, and say where it is. */
  async save() {
    if (!this.isReady) return;
    setEnabled(this.button, false);
    try {
      const file = await this.host.keep(this.field.value.trim(), this.state());
      this.say(text("board.kept", { file }), false);
      await this.list();
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
    }
    this.refresh();
  }

  /**
   * Say one sentence below the field.
   * @param {string} sentence
   * @param {boolean} isError
   */
  say(sentence, isError) {
    this.said.textContent = sentence;
    this.said.classList.toggle("pb-error", isError);
  }

  /** Show what the library has. */
  async list() {
    try {
      const kept = await this.host.library();
      this.grid.replaceChildren(...kept.map((entry) => this.entry(entry)));
      if (kept.length) return;
      this.grid.append(element("span", { class: "pb-quiet-text" }, [text("board.library_empty")]));
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error), true);
    }
  }

  /**
   * One kept direction: its picture and its name. A press adds a node that loads it.
   * @param {import("./types.js").KeptDirection} entry
   * @returns {HTMLElement}
   */
  entry({ file, name, notes, thumbnail }) {
    const src = this.host.thumbnailAddress(file);
    const picture = thumbnail
      ? element("img", { src, alt: "", loading: "lazy", draggable: "false" })
      : element("span", { class: "pb-no-picture" });
    const title = [name || file, notes, file].filter(Boolean).join("\n");
    const caption = element("span", { class: "pb-entry-name", text: name || file });
    const button = press(text("board.load_kept", { name: name || file }), [picture, caption], () => {
      this.host.addLoader(file);
      this.say(text("board.loader_added", { name: name || file }), false);
    }, "pb-entry");
    button.input.title = title;
    Object.assign(button.dataset, { pullback: "library-entry", file });
    return button;
  }
}
