// Once a node has seen its model, every `feature` of a node with that model offers the blocks that it has.

import { app } from "../../../scripts/app.js";

const NODES = ["PullbackBasis", "PullbackBasisOverTime", "PullbackExplainFeatures"];
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
  widget.options.values = [...new Set([DEFAULT, widget.value, ...names])];
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "pullback.features",
  beforeRegisterNodeDef(type, definition) {
    if (!NODES.includes(definition.name)) return;
    const onExecuted = type.prototype.onExecuted;
    type.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      const names = output?.pullback_features;
      if (!names?.length) return;
      const model = origin(this);
      for (const node of this.graph.nodes ?? this.graph._nodes) {
        if (NODES.includes(node.type) && (node === this || (model && origin(node) === model))) offer(node, names);
      }
    };
  },
});
