// Keeping an element in its node when the page makes the node again.
//
// For an undo, and for another workflow with nodes of the same ids, Nodes 2.0 goes on showing the element
// of the node before.

import { locatorId } from "./graph.js";
import { after } from "./hooks.js";

const GONE = "pullback-gone"; // the class of an element whose node is no more
const MOUNTED = 50; // milliseconds after which the page has put new nodes into their places

/**
 * Let the element of a node take the place of that of the node before.
 * @param {ComfyNode} node
 * @param {HTMLElement} element It has a `data-pullback` that tells it from others of the node.
 */
export function keepInPlace(node, element) {
  after(node, "onRemoved", () => element.classList.add(GONE));
  after(node, "onAdded", () => settle(node, element));
  after(node, "onConfigure", () => settle(node, element));
}

/**
 * Put an element into its place, as soon as the page has one.
 * @param {ComfyNode} node
 * @param {HTMLElement} element
 */
function settle(node, element) {
  element.classList.remove(GONE);
  setTimeout(() => {
    element.dataset.place = locatorId(node);
    if (element.isConnected) return;
    const { place, pullback } = element.dataset;
    const old = document.querySelector(`.${GONE}[data-place="${place}"][data-pullback="${pullback}"]`);
    old?.replaceWith(element);
  }, MOUNTED);
}
