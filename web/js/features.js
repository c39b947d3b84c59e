// Once a node has seen its model, every `feature` of a node with that model offers the blocks that it has.
// And Explain Features shows its table.

import { app } from "../../../scripts/app.js";

const NODES = ["PullbackBasis", "PullbackBasisOverTime", "PullbackExplainFeatures"];
const REPORT = "report";
const DEFAULT = "middle"; // what a node that never ran has, and every model knows

/** Where a node's model comes from, as text; undefined if from nowhere. */
function origin(node) {
  const slot = node.findInputSlot("model");
  const link = slot < 0 ? null : node.getInputLink(slot);
  return link ? `${link.origin_id} ${link.origin_slot}` : undefined;
}

/** Make the text `feature` of a node a list of names. Its place, name, value and connection stay: workflows save them. */
function offer(node, names) {
  const index = node.widgets?.findIndex((widget) => widget.name === "feature") ?? -1;
  if (index < 0) return;
  let widget = node.widgets[index];
  if (widget.type !== "combo") {
    const { tooltip } = widget;
    widget = node.addWidget("combo", "feature", widget.value, () => {}, { values: [], tooltip });
    widget.tooltip = tooltip;
    node.widgets.pop();
    node.widgets.splice(index, 1, widget);
  }
  const missing = [...new Set([DEFAULT, widget.value])].filter((name) => !names.includes(name));
  widget.options.values = [...missing, ...names];
  node.setDirtyCanvas?.(true, true);
}

/** Show a table of text on a node, in letters of one width. It is not saved. */
function show(node, text) {
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

app.registerExtension({
  name: "pullback.features",
  beforeRegisterNodeDef(type, definition) {
    if (!NODES.includes(definition.name)) return;
    const onExecuted = type.prototype.onExecuted;
    type.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (output?.pullback_report?.length) show(this, output.pullback_report.join("\n\n"));
      const names = [...new Set(output?.pullback_features)]; // a node that ran on a list says everything several times
      if (!names.length) return;
      const model = origin(this);
      for (const node of this.graph.nodes ?? this.graph._nodes) {
        if (NODES.includes(node.type) && (node === this || (model && origin(node) === model))) offer(node, names);
      }
    };
  },
});
