// The field for words. It writes into the node's own widget, and says when a changed text needs a run.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { Fold, press } from "./controls.js";

/**
 * The words of a text, as the node reads them: apart by commas or lines, each once.
 * @param {string} written
 * @returns {string[]}
 */
function wordsOf(written) {
  const parts = written.split(/[,\n]/).map((part) => part.trim());
  return [...new Set(parts.filter(Boolean))];
}

/**
 * What the field asks of the board.
 * @typedef {{readWords: () => string, writeWords: (words: string) => void, wordsAreLinked: () => boolean,
 *   run: () => void}} WordsHost
 */

/** The part of the panel for words. */
export class Words {
  /**
   * @param {WordsHost} host
   * @param {HTMLElement} sliders - the list of the words' sliders
   */
  constructor(host, sliders) {
    this.host = host;
    this.known = /** @type {string[]} */ ([]); // the words of the last run, those that it refused too
    this.field = element("input", {
      type: "text", class: "pb-field", placeholder: text("board.words_example"), spellcheck: "true",
      "aria-label": text("board.words"), "data-pullback": "words",
    });
    this.runButton = press(text("board.run"), [text("board.run")], () => host.run(), "pb-strong");
    this.notice = element("div", { class: "pb-notice" }, [text("board.words_need_run"), this.runButton]);
    this.fold = new Fold("words", text("board.words"), true);
    this.fold.body.append(element("div", { class: "pb-line" }, [this.field]), this.notice, sliders);
    this.field.addEventListener("input", () => {
      host.writeWords(this.field.value);
      this.compare();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing && !this.notice.hidden) host.run();
    });
    this.refresh();
  }

  /** Show the text of the widget, unless it is being written here. */
  refresh() {
    const written = this.host.readWords().replace(/\s*\n+\s*/g, ", ");
    if (document.activeElement !== this.field) this.field.value = written;
    this.field.disabled = this.host.wordsAreLinked();
    this.field.title = this.field.disabled ? text("board.words_linked") : "";
    this.compare();
  }

  /**
   * Take the words of a run. Its note names those that the model does not know.
   * @param {import("./types.js").Payload} payload
   */
  ran({ rows, note = "" }) {
    const refused = wordsOf(this.host.readWords()).filter((word) => note.includes(word));
    this.known = [...rows.filter((row) => row.kind === "word").map(({ name = "" }) => name), ...refused];
    this.refresh();
  }

  /** Say whether the text has words that no run knows. */
  compare() {
    const wanted = wordsOf(this.host.readWords());
    const same = new Set([...wanted, ...this.known]).size === wanted.length
      && wanted.every((word) => this.known.includes(word));
    this.notice.hidden = same || this.host.wordsAreLinked();
  }
}
