// Pointer and keys on a board, besides those of its sliders and buttons.

/** @typedef {import("./control.js").Board} Board */

/**
 * Whether an element takes text, so that keys and undo are its own.
 * @param {EventTarget | null} target
 * @returns {boolean}
 */
function takesText(target) {
  return target instanceof HTMLInputElement && target.type === "text";
}

/**
 * A press on the picture shows the picture before; while wiping it moves the divider.
 * @param {Board} board
 */
export function listenToPicture(board) {
  const { stage, view } = board;
  const { canvas } = stage;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !board.model.pictures) return;
    canvas.setPointerCapture(event.pointerId);
    if (stage.wipe === null) stage.hold(true);
    else stage.setWipe(stage.place(event)[0]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stage.wipe === null || !canvas.hasPointerCapture(event.pointerId)) return;
    stage.setWipe(Math.min(1, Math.max(0, stage.place(event)[0])));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => stage.hold(false));
  // Presses on what has no input of its own: keys of the board go on working.
  view.element.addEventListener("mousedown", (event) => {
    if (event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    const within = view.element.contains(document.activeElement) && !takesText(document.activeElement);
    if (!within) view.tools.before.input.focus({ preventScroll: true });
  });
  view.element.addEventListener("click", ({ target }) => { // Safari does not focus a button that is pressed
    if (target instanceof HTMLInputElement) target.focus({ preventScroll: true });
  });
}

/**
 * Keys of the board: undo and redo, B for the picture before, brackets for the size of the brush. Keys that
 * are typed on a board do nothing to the graph, such as Delete.
 * @param {Board} board
 */
export function listenToKeys(board) {
  const { element, stage } = board;
  element.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    if (takesText(event.target)) {
      if (!command) event.stopPropagation();
      return;
    }
    const key = event.key.toLowerCase();
    if (command && (key === "z" || key === "y")) {
      event.preventDefault();
      event.stopPropagation();
      board.travel(key === "y" || event.shiftKey ? "future" : "past");
    } else if (!command && !event.altKey) {
      event.stopPropagation();
      if (key === "b" && !event.repeat) stage.hold(board.model.pictures !== null);
      if (key === "[") board.brush.resize(1 / 1.2);
      if (key === "]") board.brush.resize(1.2);
    }
  });
  element.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "b") stage.hold(false);
  });
  element.addEventListener("focusout", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && element.contains(relatedTarget))) stage.hold(false);
  });
}
