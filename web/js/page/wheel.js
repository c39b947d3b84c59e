// The wheel over a board belongs to the page's zoom, except over a list that it can scroll.

import { app } from "../../../../scripts/app.js";

/**
 * Whether the pointer is over a list that scrolls. At its end the list keeps the wheel: no sudden zoom.
 * @param {WheelEvent} event
 * @param {HTMLElement} board
 * @returns {boolean}
 */
function isOverList(event, board) {
  let part = event.target instanceof Element ? event.target : null;
  while (part && part !== board) {
    if (part.scrollHeight > part.clientHeight + 1 && getComputedStyle(part).overflowY === "auto") return true;
    part = part.parentElement;
  }
  return false;
}

/**
 * Give the page what a board does not use: the wheel, and drags with the middle button, which move the view.
 * In Nodes 2.0 the page takes them before they come here.
 * @param {HTMLElement} board
 */
export function leaveWheelToPage(board) {
  board.addEventListener("wheel", (event) => {
    const isGesture = event.ctrlKey || event.metaKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isGesture || !isOverList(event, board)) {
      event.preventDefault();
      app.canvas.processMouseWheel(event);
    }
    event.stopPropagation();
  }, { passive: false });
  board.addEventListener("pointerdown", (event) => {
    if (event.button === 1) app.canvas.processMouseDown(event);
  });
  board.addEventListener("pointermove", (event) => {
    if ((event.buttons & 4) === 4) app.canvas.processMouseMove(event);
  });
  board.addEventListener("pointerup", (event) => {
    if (event.button === 1) app.canvas.processMouseUp(event);
  });
}
