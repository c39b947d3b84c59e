// The wheel over an element of ours belongs to the page's zoom, except over a list that it can scroll.

import { app } from "../../../../scripts/app.js";

/**
 * Whether the pointer is over a list that scrolls. At its end the list keeps the wheel: no sudden zoom.
 * @param {WheelEvent} event
 * @param {HTMLElement} element
 * @returns {boolean}
 */
function isOverList(event, element) {
  let part = event.target instanceof Element ? event.target : null;
  while (part && part !== element) {
    if (part.scrollHeight > part.clientHeight + 1 && getComputedStyle(part).overflowY === "auto") return true;
    part = part.parentElement;
  }
  return false;
}

/**
 * Give the page what an element does not use: the wheel, and drags with the middle button, which move the
 * view. In Nodes 2.0 the page takes them before they come here.
 * @param {HTMLElement} element
 */
export function leaveWheelToPage(element) {
  element.addEventListener("wheel", (event) => {
    const isGesture = event.ctrlKey || event.metaKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isGesture || !isOverList(event, element)) {
      event.preventDefault();
      app.canvas.processMouseWheel(event);
    }
    event.stopPropagation();
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => {
    if (event.button === 1) app.canvas.processMouseDown(event);
  });
  element.addEventListener("pointermove", (event) => {
    if ((event.buttons & 4) === 4) app.canvas.processMouseMove(event);
  });
  element.addEventListener("pointerup", (event) => {
    if (event.button === 1) app.canvas.processMouseUp(event);
  });
}
