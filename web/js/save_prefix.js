// Save Pullback Basis fills in %date:yyyy-MM-dd% and %Node.widget% in its file name, as the page does for Save Image.

import { app } from "../../../scripts/app.js";

app.registerExtension({
  name: "pullback.save_prefix",
  beforeRegisterNodeDef(type, definition) {
    if (definition.name !== "PullbackSaveBasis") return;
    const onNodeCreated = type.prototype.onNodeCreated;
    type.prototype.onNodeCreated = function () {
      const result = onNodeCreated?.apply(this, arguments);
      const widget = this.widgets?.find((widget) => widget.name === "filename_prefix");
      const replace = window.comfyAPI?.utils?.applyTextReplacements; // a page without it sends the text as it is
      if (widget && replace) widget.serializeValue = () => replace(app, widget.value);
      return result;
    };
  },
});
