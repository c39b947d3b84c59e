// What nodes say in the page: blocks to choose from, the table of Explain Features, and a line under a node.
//
// The server sends them with the outputs of a node: `pullback_features` are the names of the blocks of its
// model, `pullback_report` is the table, and `pullback_text` the line.

import { api } from "../../../scripts/api.js";
import { element } from "./page/dom.js";
import { executionId, findWidget } from "./page/graph.js";
import { sourceOf } from "./page/links.js";
import { onOutput } from "./page/outputs.js";

const DEFAULT = "middle"; // the feature of a node that never ran; every model knows it
const FEATURE = "feature"; // the name of the widget with a block
const MODEL = "model"; // the name of the input with the model
const REPORT = "report"; // the name of the widget with the table
const REPORT_SIZE = [720, 680]; // of a node that shows a table, in pixels
const LEAST = 160; // pixels of height for the table

/**
 * Put a list of names in the place of a text widget. Its position, value and texts stay: workflows save them.
 * @param {ComfyNode} node
 * @param {ComfyWidget} widget
 * @returns {ComfyWidget}
 */
function asCombo(node, widget) {
  const { name, value, tooltip, label } = widget;
  const widgets = /** @type {ComfyWidget[]} */ (node.widgets);
  const made = node.addWidget("combo", name, String(value), () => {}, { values: [] });
  const combo = /** @type {ComfyWidget} */ (Object.assign(made, { tooltip, label }));
  widgets.pop();
  widgets.splice(widgets.indexOf(widget), 1, combo);
  return combo;
}

/**
 * Offer names of blocks in the `feature` of a node.
 * @param {ComfyNode} node
 * @param {string[]} names
 */
function offerFeatures(node, names) {
  let widget = findWidget(node, FEATURE);
  if (!widget) return;
  if (widget.type !== "combo") widget = asCombo(node, widget);
  const missing = [...new Set([DEFAULT, String(widget.value)])].filter((name) => !names.includes(name));
  /** @type {{values?: unknown}} */ (widget.options).values = [...missing, ...names];
  node.setDirtyCanvas?.(true, true);
}

/**
 * Offer the blocks of a model in every node of the pack that has the same model.
 * @param {ComfyNode} node The node that ran.
 * @param {unknown[]} value Names of blocks. A node that ran on a list says each several times.
 */
function takeFeatures(node, value) {
  const names = [...new Set(value.map(String))];
  const source = sourceOf(node, MODEL);
  for (const other of /** @type {ComfyNode[]} */ (node.graph?.nodes ?? [])) {
    const sameModel = other === node || (source && sourceOf(other, MODEL) === source);
    if (sameModel && other.comfyClass?.startsWith("Pullback")) offerFeatures(other, names);
  }
}

/**
 * Show a table of text on a node, in letters of one width. It is not saved.
 * @param {ComfyNode} node
 * @param {unknown[]} value
 */
function takeReport(node, value) {
  let table = findWidget(node, REPORT)?.element;
  if (!table) {
    table = element("pre", {
      style: "margin: 0; overflow: auto; font-size: 11px; line-height: 1.4; user-select: text;",
      "data-pullback": "report",
    });
    const options = { serialize: false, hideOnZoom: false, getMinHeight: () => LEAST };
    const widget = node.addDOMWidget(REPORT, "PULLBACK_REPORT", table, options);
    widget.serialize = false;
    node.setSize([Math.max(node.size[0], REPORT_SIZE[0]), Math.max(node.size[1], REPORT_SIZE[1])]);
  }
  table.textContent = value.join("\n\n");
}

/**
 * Show a line under a node. It is sent on as the page's own message of a running node, so that it looks
 * like one and takes the place of one.
 * @param {ComfyNode} node
 * @param {unknown[]} value
 */
function takeText(node, value) {
  const text = [...new Set(value)].join("\n");
  api.dispatchCustomEvent("progress_text", { nodeId: executionId(node), text });
}

onOutput("pullback_features", takeFeatures);
onOutput("pullback_report", takeReport);
onOutput("pullback_text", takeText);
