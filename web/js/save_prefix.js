// Save Pullback Basis fills in %date:yyyy-MM-dd% and %Node.widget% in its file name, as the page does for Save Image.

import { app } from "../../../scripts/app.js";

app.registerExtension({
  name: "pullback.save_prefix",
  nodeCreated(node) {
    if (node.comfyClass !== "PullbackSaveBasis") return;
    const widget = node.widgets?.find((widget) => widget.name === "filename_prefix");
    const replace = window.comfyAPI?.utils?.applyTextReplacements; // a page without it sends the text as it is
    if (widget && replace) widget.serializeValue = () => replace(app, widget.value);
  },
});
