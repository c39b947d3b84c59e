// Lists of options show their texts in the language of the page. A workflow saves the option itself.
//
// Pages before 1.35 do not know labels of options, and show the option.

import { app } from "../../../scripts/app.js";
import { loadStrings, text } from "./page/strings.js";

/**
 * The text of an option, or undefined where it has none, such as a file.
 * @param {unknown} option
 * @returns {string | undefined}
 */
function textOf(option) {
  const key = `options.${option}`;
  const found = text(key);
  return found === key ? undefined : found;
}

/**
 * The text of an option, or the option itself.
 * @param {string | null} [option]
 * @returns {string}
 */
function labelOf(option) {
  return textOf(option) ?? String(option ?? "");
}

app.registerExtension({
  name: "pullback.option_labels",
  setup: loadStrings,
  nodeCreated(/** @type {ComfyNode} */ node) {
    if (!node.comfyClass?.startsWith("Pullback")) return;
    for (const { options, type } of node.widgets ?? []) {
      const values = type === "combo" && Array.isArray(options.values) ? options.values : [];
      if (values.some(textOf)) options.getOptionLabel = labelOf;
    }
  },
});
