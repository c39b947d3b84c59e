// Lists of options show their texts in the language of the page. A workflow saves the option itself.
//
// Pages before 1.35 do not know labels of options, and show the option.

import { app } from "../../../scripts/app.js";
import { loadStrings, text } from "./page/strings.js";

/**
 * The text of an option; the option itself where it has no text, such as a file.
 * @param {string | null} [option]
 * @returns {string}
 */
function labelOf(option) {
  const key = `options.${option ?? ""}`;
  const label = text(key);
  return label === key ? String(option ?? "") : label;
}

app.registerExtension({
  name: "pullback.option_labels",
  setup: loadStrings,
  nodeCreated(/** @type {ComfyNode} */ node) {
    if (!node.comfyClass?.startsWith("Pullback")) return;
    for (const widget of node.widgets ?? []) {
      if (widget.type === "combo") widget.options.getOptionLabel = labelOf;
    }
  },
});
