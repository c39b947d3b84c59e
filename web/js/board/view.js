// What a board looks like: the picture with its badge, the tools, and the panel that scrolls.

import { element } from "../page/dom.js";
import { text } from "../page/strings.js";
import { icon, press, setEnabled, setPressed } from "./controls.js";
import { Status } from "./status.js";
import { styleElement } from "./style.js";

/**
 * What the tools ask of the board.
 * @typedef {{hold: (holding: boolean) => void, wipe: () => void, brush: () => void, undo: () => void,
 *   redo: () => void, reset: () => void, run: () => void, cancel: () => void,
 *   live: (live: boolean) => void}} Actions
 */

/** The tools of a board below its picture. */
class Tools {
  /** @param {Actions} actions */
  constructor(actions) {
    this.before = this.tool("before", "compare", () => {});
    this.wipe = this.tool("wipe", "wipe", actions.wipe);
    this.brush = this.tool("brush", "brush", actions.brush);
    this.undo = this.tool("undo", "undo", actions.undo);
    this.redo = this.tool("redo", "redo", actions.redo);
    this.reset = this.tool("reset", "reset", actions.reset);
    this.live = element("input", { type: "checkbox", role: "switch" });
    this.live.addEventListener("change", () => actions.live(this.live.checked));
    const tip = text("board.live_tip");
    const live = element("label", { class: "pb-live", title: tip }, [this.live, text("board.live")]);
    const run = [icon("run"), text("board.run")];
    this.run = press(text("board.run_tip"), run, actions.run, "pb-strong pb-run");
    this.run.input.dataset.pullback = "run";
    const look = [this.before, this.wipe, this.brush];
    const bars = [look, [this.undo, this.redo, this.reset], [live, this.run]].map((group) => {
      return element("div", { class: "pb-tool-group" }, group);
    });
    const said = { role: "toolbar", "aria-label": text("board.tools") };
    this.element = element("div", { class: "pb-tools", ...said }, bars);
    this.holdWhilePressed(actions);
  }

  /**
   * A tool with an icon alone.
   * @param {Parameters<typeof icon>[0]} name
   * @param {string} mark - its name for tests
   * @param {() => void} action
   */
  tool(name, mark, action) {
    const button = press(text(`board.${mark}`), [icon(name)], action, "pb-icon");
    button.input.dataset.pullback = mark;
    return button;
  }

  /**
   * The picture before is in sight while its button or the space bar on it is held.
   * @param {Actions} actions
   */
  holdWhilePressed(actions) {
    const { input } = this.before;
    input.addEventListener("pointerdown", (event) => {
      input.setPointerCapture(event.pointerId);
      actions.hold(true);
    });
    for (const name of ["pointerup", "pointercancel", "keyup"]) {
      input.addEventListener(name, () => actions.hold(false));
    }
    input.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") actions.hold(true);
    });
  }

  /**
   * Show what can be done now.
   * @param {{ran: boolean, undo: boolean, redo: boolean, set: boolean, wipe: boolean, brush: boolean,
   *   live: boolean}} now
   */
  show(now) {
    for (const button of [this.before, this.wipe, this.brush]) setEnabled(button, now.ran);
    setEnabled(this.undo, now.undo);
    setEnabled(this.redo, now.redo);
    setEnabled(this.reset, now.set);
    setPressed(this.wipe, now.wipe);
    setPressed(this.brush, now.brush);
    this.live.checked = now.live;
  }
}

/** The whole view: picture, tools, and a panel for what the board puts there. */
export class View {
  /**
   * @param {Actions} actions
   * @param {import("./stage.js").Stage} stage
   */
  constructor(actions, stage) {
    this.tools = new Tools(actions);
    this.status = new Status(actions.cancel);
    this.badge = element("div", { class: "pb-badge", "data-pullback": "badge", role: "status" });
    this.emptyText = element("p", {});
    this.empty = element("div", { class: "pb-empty" }, [
      icon("sheet"), element("strong", {}, [text("board.empty_title")]), this.emptyText,
      press(text("board.run"), [icon("run"), text("board.run")], actions.run, "pb-strong pb-run"),
    ]);
    stage.frame.append(this.badge);
    stage.element.append(this.empty, this.status.element);
    this.panel = element("div", { class: "pb-panel", "data-capture-wheel": "true" });
    this.head = element("div", { class: "pb-head" }, [stage.element, this.tools.element]);
    this.element = element("div", { class: "pullback-board", "data-pullback": "board" }, [
      styleElement(), element("div", { class: "pb-layout" }, [this.head, this.panel]),
    ]);
    this.setShows("empty");
  }

  /**
   * Say what the canvas shows.
   * @param {string} shows - "empty", "before", "preview", "true" or "old"
   */
  setShows(shows) {
    this.element.dataset.shows = shows;
  }

  /**
   * The badge on the picture.
   * @param {"before" | "preview" | "beyond" | "true" | "differs"} kind
   * @param {string} said
   */
  setBadge(kind, said) {
    this.badge.dataset.kind = kind;
    this.badge.textContent = said;
  }

  /**
   * Say what is missing before the first run, or that only the run is.
   * @param {boolean} isEmpty
   * @param {string[]} missing - the sockets that are not connected
   */
  setEmpty(isEmpty, missing) {
    this.element.classList.toggle("pb-is-empty", isEmpty);
    if (!isEmpty) return;
    this.emptyText.textContent = missing.length
      ? text("board.empty_connect", { inputs: missing.join(", ") })
      : text("board.empty_run");
  }
}
