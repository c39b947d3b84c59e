// An element inside a node, in the classic canvas and in Nodes 2.0.

import { keepInPlace } from "./mount.js";
import { leaveWheelToPage } from "./wheel.js";

/**
 * Put an element into a new node. It is not saved, and the panel of parameters does not show it.
 * @param {ComfyNode} node
 * @param {HTMLElement} element It has a `data-pullback` that tells it from others of the node.
 * @param {{name: string, type: string, least: number, size: number[]}} widget The name and the type of its
 *   widget, the least height in pixels, and the least size of the node.
 * @param {object} facts What the widget gets in addition.
 */
export function putInside(node, element, { name, type, least, size }, facts) {
  const options = { serialize: false, hideOnZoom: false, hideInPanel: true, getMinHeight: () => least };
  const widget = node.addDOMWidget(name, type, element, options);
  Object.assign(widget, { serialize: false, ...facts });
  leaveWheelToPage(element);
  keepInPlace(node, element);
  node.setSize([Math.max(node.size[0], size[0]), Math.max(node.size[1], size[1])]);
}

/**
 * Leave the pictures of a node's outputs to its own element.
 * @param {ComfyNode} node
 */
export function hidePictures(node) {
  node.onDrawBackground = () => {}; // the classic canvas draws them here
  Object.assign(node, { hideOutputImages: true }); // Nodes 2.0 asks for this
}
