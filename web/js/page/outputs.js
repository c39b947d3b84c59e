// What the server sends to the page with the outputs of nodes.
//
// It comes with the message "executed" while a workflow runs, and with the hook `onNodeOutputsUpdated` when
// the page shows another workflow. Neither comes when the page makes a node again, for an undo or after it
// was reloaded. So what came is remembered, in the session of the browser's tab.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { allNodes, findNode, locatorId, rootGraph } from "./graph.js";

const STORE = "pullback.outputs"; // the name in the session of the tab
const MOST = 60; // outputs are remembered at most; the oldest go first
const LONGEST = 65536; // characters of an output that is remembered; the tab's session holds 5 million

/**
 * Takes what came for one node. `value` is the list that the server sent under the key.
 * @typedef {(node: ComfyNode, value: unknown[]) => void} TakeOutput
 */

/** @type {Map<string, TakeOutput[]>} */
const takers = new Map();
/** @type {Map<string, string>} */
const remembered = new Map();
/** What each node shows now, as text by key. A node that the page makes again shows nothing. */
const shown = /** @type {WeakMap<ComfyNode, Map<string, string>>} */ (new WeakMap());

/**
 * Ask for an output of nodes. Call it once for each key, when a file is loaded.
 * After a run it is called even if the output is the same as before. When the page made the node again, or
 * shows another workflow, it is called only if the node does not show this output yet.
 * @param {string} key The name in the node's ui, such as "pullback_board".
 * @param {TakeOutput} take
 */
export function onOutput(key, take) {
  if (takers.size === 0) start();
  takers.set(key, [...(takers.get(key) ?? []), take]);
}

/**
 * What the server sent last for a node, or nothing.
 * @param {ComfyNode} node
 * @param {string} key
 * @returns {unknown[] | undefined}
 */
function lastOutput(node, key) {
  const text = remembered.get(nameOf(node, key));
  return text === undefined ? undefined : JSON.parse(text);
}

/**
 * The address of a file that the server names in an output.
 * @param {{filename: string, subfolder?: string, type?: string}} file
 * @returns {string}
 */
export function fileUrl(file) {
  const query = new URLSearchParams({
    filename: file.filename,
    subfolder: file.subfolder ?? "",
    type: file.type ?? "temp",
  });
  return api.apiURL(`/view?${query}`);
}

/** Listen to the page. */
function start() {
  recall();
  api.addEventListener("executed", (event) => {
    const { display_node: shownAs, node, output } = event.detail;
    deliver(findNode(shownAs ?? node), /** @type {ComfyOutput | undefined} */ (output), true);
  });
  app.registerExtension({
    name: "pullback.outputs",
    /** @param {Record<string, ComfyOutput>} outputs */
    onNodeOutputsUpdated(outputs) {
      for (const [id, output] of Object.entries(outputs ?? {})) deliver(findNode(id), output, false);
    },
    afterConfigureGraph: refill,
  });
}

/** Give every node that the page made again what it showed before. */
function refill() {
  for (const node of allNodes()) {
    for (const key of takers.keys()) {
      const value = lastOutput(node, key);
      if (value) deliver(node, { [key]: value }, false);
    }
  }
}

/**
 * Hand an output on to those who asked.
 * @param {ComfyNode | undefined} node
 * @param {ComfyOutput | undefined} output
 * @param {boolean} always Also if the node shows it already.
 */
function deliver(node, output, always) {
  if (!node?.graph || !output) return; // a node that was removed a moment ago has no graph
  for (const [key, asked] of takers) {
    const value = output[key];
    if (!Array.isArray(value)) continue;
    const text = JSON.stringify(value);
    const before = shown.get(node) ?? new Map();
    if (!always && before.get(key) === text) continue;
    shown.set(node, before.set(key, text));
    remember(nameOf(node, key), text);
    for (const take of asked) take(node, value);
  }
}

/**
 * The name under which an output is remembered. Workflows have nodes of the same id, so it begins with the
 * workflow.
 * @param {ComfyNode} node
 * @param {string} key
 * @returns {string}
 */
function nameOf(node, key) {
  return `${rootGraph().id}/${locatorId(node)}/${node.type}/${key}`;
}

/**
 * Remember an output, in the place of the oldest one.
 * @param {string} name
 * @param {string} text
 */
function remember(name, text) {
  remembered.delete(name); // a Map keeps the order in which names came, and this one is the newest now
  if (text.length > LONGEST) return;
  remembered.set(name, text);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MOST) break;
    remembered.delete(oldest);
  }
  try {
    sessionStorage.setItem(STORE, JSON.stringify([...remembered]));
  } catch (error) {
    console.warn("Pullback: the browser stores no outputs, so a reload of the page forgets them.", error);
  }
}

/** Read what the tab remembers from before the page was reloaded. */
function recall() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    for (const [name, text] of stored) remembered.set(name, text);
  } catch (error) {
    console.warn("Pullback: the outputs from before the reload cannot be read.", error);
  }
}
