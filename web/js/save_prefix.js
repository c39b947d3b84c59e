// Save Pullback Basis fills in %date:yyyy-MM-dd% and %Node.widget% in its file name, as Save Image does.

import { app } from "../../../scripts/app.js";

app.registerExtension({
  name: "pullback.save_prefix",
  nodeCreated(node) {
    if (node.comfyClass !== "PullbackSaveBasis") return;
    /** @type {ComfyWidget | undefined} */
    const prefix = node.widgets?.find((widget) => widget.name === "filename_prefix");
    const replace = window.comfyAPI?.utils?.applyTextReplacements; // not in every page
    if (prefix && replace) prefix.serializeValue = () => replace(app, String(prefix.value));
  },
});
