// The node Basis Visualizer shows its sheet as cells: one under the pointer is enlarged, and a click takes
// it.

import { app } from "../../../scripts/app.js";
import { findWidget } from "./page/graph.js";
import { hidePictures, putInside } from "./page/inside.js";
import { onOutput } from "./page/outputs.js";
import { loadStrings, text } from "./page/strings.js";
import { giveCell } from "./visualizer/takers.js";
import { SheetView } from "./visualizer/view.js";

/** @typedef {import("./visualizer/takers.js").Cell} Cell */
/** @typedef {import("./visualizer/takers.js").Sheet} Sheet */

const NODE = "PullbackBasisVisualizer";
const WIDGET = "sheet";
const SIZE = [640, 900]; // of a new node, in pixels
const LEAST = 240; // pixels of height for the sheet

/**
 * Give a node its sheet, in the place of the picture that the page would show.
 * @param {ComfyNode} node
 */
function addSheet(node) {
  const view = new SheetView((sheet, cell) => void take(node, view, sheet, cell));
  const widget = { name: WIDGET, type: "PULLBACK_SHEET", least: LEAST, size: SIZE };
  putInside(node, view.element, widget, { label: text("cells.title"), view });
  hidePictures(node);
}

/**
 * The sheet of a node.
 * @param {ComfyNode} node
 * @returns {SheetView | undefined}
 */
function viewOf(node) {
  const widget = /** @type {unknown} */ (findWidget(node, WIDGET));
  return /** @type {{view?: SheetView} | undefined} */ (widget)?.view;
}

/**
 * Give a cell to what is connected, and say what becomes of it.
 * @param {ComfyNode} node
 * @param {SheetView} view
 * @param {Sheet} sheet
 * @param {Cell} cell
 */
async function take(node, view, sheet, cell) {
  const { said, nodes, done } = giveCell(node, sheet, cell);
  const names = { nodes: nodes.map((one) => one.title).join(", ") };
  if (nodes.length > 0) view.mark(cell);
  if (said === "nothing") view.say(text("cells.nothing"));
  if (said === "other_unit") view.say(text("cells.other_unit"));
  if (said === "no_output") view.say(text("cells.no_output", names));
  if (said !== "set") return;
  view.say(text(done ? "cells.running" : "cells.set", names));
  const outcome = await done;
  if (outcome === "done") view.say(text("cells.set", names));
  if (outcome === "failed") view.say(text("cells.failed", names));
}

onOutput("pullback_sheet", (node, [sheet]) => viewOf(node)?.show(/** @type {Sheet} */ (sheet)));

app.registerExtension({
  name: "pullback.sheet",
  setup: loadStrings,
  nodeCreated(node) {
    if (node.comfyClass === NODE) addSheet(/** @type {ComfyNode} */ (node));
  },
});
