// Elements of the page.

/**
 * Make an element. Names that begin with "on" and have a function are listeners ("onclick",
 * "onpointerdown"). "text" is its text, "style" its CSS. A value of true is an attribute without a value;
 * false, null and undefined leave it out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {(Node | string | null | undefined)[]} [children]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  for (const child of children) if (child !== null && child !== undefined) made.append(child);
  return made;
}

/**
 * Set one attribute, the text, or a listener.
 * @param {HTMLElement} made
 * @param {string} name
 * @param {unknown} value
 */
function setAttribute(made, name, value) {
  if (value === false || value === null || value === undefined) return;
  if (typeof value === "function") {
    made.addEventListener(name.replace(/^on/, ""), /** @type {EventListener} */ (value));
  } else if (name === "text") {
    made.textContent = String(value);
  } else {
    made.setAttribute(name, value === true ? "" : String(value));
  }
}
