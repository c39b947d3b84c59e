// Nodes with a `feature` offer the blocks of their model, and Explain Features shows its table.
//
// The server sends both with the outputs of a node: `pullback_features` are the names of the blocks, `pullback_report`
// is the table. They come with the message "executed" while a workflow runs, and with the hook `onNodeOutputsUpdated`
// when the page shows a workflow that ran before.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const DEFAULT = "middle"; // the feature of a node that never ran; every model knows it
const REPORT = "report"; // the name of the widget with the table
const TYPES_WITH_FEATURE = new Set(); // node ids; found in the node definitions

/** Whether a node definition is one of this pack with an input `feature`. */
function hasFeature(definition) {
  const { required, optional } = definition.input ?? {};
  return definition.name.startsWith("Pullback") && "feature" in { ...required, ...optional };
}

/** The graph of the whole workflow. Older pages have it under another name. */
function rootGraph() {
  return app.rootGraph ?? app.graph;
}

/** The node of an execution id such as "12:5" (node 5 within subgraph node 12), or of a locator id such as "uuid:5". */
function findNode(id) {
  const path = String(id).split(":");
  const name = path.pop();
  let graph = rootGraph();
  for (const part of path) {
    graph = graph?.subgraphs?.get(part) ?? graph?.getNodeById(part)?.subgraph;
  }
  return graph?.getNodeById(name);
}

/** Where the model of a node comes from, as text; undefined if it has none. */
function modelSource(node) {
  const slot = node.findInputSlot("model");
  const link = slot < 0 ? null : node.getInputLink(slot);
  return link ? `${link.origin_id} ${link.origin_slot}` : undefined;
}

/** Put a list of names in the place of a text widget. Its position, value and tooltip stay: workflows save them. */
function asCombo(node, text) {
  const { tooltip } = text;
  const combo = node.addWidget("combo", text.name, text.value, () => {}, { values: [], tooltip });
  combo.tooltip = tooltip;
  node.widgets.pop();
  node.widgets.splice(node.widgets.indexOf(text), 1, combo);
  return combo;
}

/** Offer names of blocks in the `feature` of a node. */
function offerFeatures(node, names) {
  let widget = node.widgets?.find((widget) => widget.name === "feature");
  if (!widget) return;
  if (widget.type !== "combo") widget = asCombo(node, widget);
  const missing = [...new Set([DEFAULT, widget.value])].filter((name) => !names.includes(name));
  widget.options.values = [...missing, ...names];
  node.setDirtyCanvas?.(true, true);
}

/** Show a table of text on a node, in letters of one width. It is not saved. */
function showReport(node, text) {
  let widget = node.widgets?.find((widget) => widget.name === REPORT);
  if (!widget) {
    const element = document.createElement("pre");
    element.style.cssText = "margin: 0; overflow: auto; font-size: 11px; line-height: 1.4; user-select: text;";
    widget = node.addDOMWidget(REPORT, "pullback_report", element, { serialize: false, getMinHeight: () => 160 });
    widget.serialize = false;
    node.setSize([Math.max(node.size[0], 720), Math.max(node.size[1], 680)]);
  }
  widget.element.textContent = text;
}

/** Take in what the server sent with the outputs of one node. */
function takeOutput(node, output) {
  if (!node || !output) return;
  if (output.pullback_report?.length) showReport(node, output.pullback_report.join("\n\n"));
  const names = [...new Set(output.pullback_features)]; // a node that ran on a list says everything several times
  if (!names.length) return;
  const source = modelSource(node);
  for (const other of node.graph.nodes) {
    const sameModel = other === node || (source && modelSource(other) === source);
    if (sameModel && TYPES_WITH_FEATURE.has(other.type)) offerFeatures(other, names);
  }
}

app.registerExtension({
  name: "pullback.features",
  beforeRegisterNodeDef(type, definition) {
    if (hasFeature(definition)) TYPES_WITH_FEATURE.add(definition.name);
  },
  setup() {
    api.addEventListener("executed", ({ detail }) => takeOutput(findNode(detail.display_node ?? detail.node), detail.output));
  },
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) takeOutput(findNode(id), output);
  },
});
