// The list of basis files as cards with picture and name.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { styleElement } from "./style.js";

/**
 * A file as the server lists it.
 * @typedef {object} Entry
 * @property {string} file The name for the widget.
 * @property {string} name The name for people.
 * @property {string[]} names Of its directions.
 * @property {string} kind
 * @property {string} notes
 * @property {number} rank How many directions it has.
 * @property {boolean} thumbnail Whether it has a picture.
 * @property {string} changed Another text after each change of the file.
 */
/**
 * What a list needs of its node.
 * @typedef {object} LibraryHost
 * @property {(file: string) => void} choose
 * @property {() => string} chosen
 * @property {(entry: Entry) => string} thumbnail The address of a picture.
 */

const MANY = 12; // files from which on there is a field to search
const STEPS = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1 });

/** A list of files to choose from. */
export class LibraryView {
  /** @param {LibraryHost} host */
  constructor(host) {
    this.host = host;
    /** @type {HTMLButtonElement[]} */
    this.cards = [];
    this.search = element("input", {
      class: "pl-search", type: "search", hidden: true, placeholder: text("library.search"),
      "aria-label": text("library.search"), "data-pullback": "library-search",
      oninput: () => this.filter(),
    });
    this.grid = element("div", { class: "pl-grid", role: "listbox", "aria-label": text("library.title") });
    this.note = element("div", { class: "pl-note", "data-pullback": "note", hidden: true });
    this.element = element("div", { class: "pullback-library", "data-pullback": "library" }, [
      styleElement(), this.search, this.grid, this.note,
    ]);
    this.grid.addEventListener("keydown", (event) => this.moveFocus(event));
    this.search.addEventListener("keydown", (event) => event.stopPropagation());
  }

  /**
   * Show the files.
   * @param {Entry[]} entries
   */
  show(entries) {
    this.cards = entries.map((entry) => this.cardOf(entry));
    this.grid.replaceChildren(...this.cards);
    this.search.hidden = entries.length < MANY;
    this.filter();
    this.markChosen();
    if (entries.length === 0) this.say(text("library.empty"));
  }

  /**
   * Say that there is no list.
   * @param {number} status What the server answered.
   */
  fail(status) {
    this.say(text("library.failed", { status }));
  }

  /**
   * Say something below the list; "" takes it back.
   * @param {string} words
   */
  say(words) {
    this.note.textContent = words;
    this.note.hidden = !words;
  }

  /** Mark the file that the node has. */
  markChosen() {
    const chosen = this.host.chosen();
    for (const card of this.cards) {
      const isChosen = card.dataset.file === chosen;
      card.setAttribute("aria-selected", String(isChosen));
      card.tabIndex = isChosen ? 0 : -1;
    }
    const first = this.cards[0];
    if (first && !this.cards.some((card) => card.tabIndex === 0)) first.tabIndex = 0;
  }

  /** Show the files whose names or notes have what is searched. */
  filter() {
    const wanted = this.search.hidden ? "" : this.search.value.trim().toLowerCase();
    for (const card of this.cards) card.hidden = !card.title.toLowerCase().includes(wanted);
    const none = this.cards.length > 0 && this.cards.every((card) => card.hidden);
    this.say(none ? text("library.no_match") : "");
  }

  /**
   * A file as a card.
   * @param {Entry} entry
   * @returns {HTMLButtonElement}
   */
  cardOf(entry) {
    const directions = entry.rank === 1
      ? text("library.one_direction")
      : text("library.directions", { count: entry.rank });
    const named = entry.names.filter(Boolean).join(", ");
    const picture = entry.thumbnail
      ? element("img", { src: this.host.thumbnail(entry), alt: "", loading: "lazy", draggable: "false" })
      : element("span", { class: "pl-blank", text: entry.name.slice(0, 1).toUpperCase() });
    return element("button", {
      class: "pl-card", type: "button", role: "option", tabindex: "-1",
      title: [entry.name, named, entry.notes, entry.file].filter(Boolean).join("\n"),
      "data-pullback": "library-entry", "data-file": entry.file,
      onclick: () => {
        this.host.choose(entry.file);
        this.markChosen();
      },
    }, [
      element("span", { class: "pl-picture" }, [picture]),
      element("strong", { text: entry.name }),
      element("small", { text: directions }),
    ]);
  }

  /**
   * Go from card to card by the arrow keys.
   * @param {KeyboardEvent} event
   */
  moveFocus(event) {
    const cards = this.cards.filter((card) => !card.hidden);
    const from = cards.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const columns = cards.filter((card) => card.offsetTop === cards[0]?.offsetTop).length;
    const step = { ...STEPS, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step || from < 0) return;
    event.preventDefault();
    event.stopPropagation();
    cards[from + step]?.focus();
  }
}
