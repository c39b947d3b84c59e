// The node Load Pullback Basis shows the files that there are, by picture and name. A click chooses one.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { LibraryView } from "./library/view.js";
import { allNodes, findWidget } from "./page/graph.js";
import { after } from "./page/hooks.js";
import { hidePictures, putInside } from "./page/inside.js";
import { onKept } from "./page/kept.js";
import { loadStrings } from "./page/strings.js";

/** @typedef {import("./library/view.js").Entry} Entry */

const NODE = "PullbackLoadBasis";
const FILE = "file"; // the widget with the name of a file
const WIDGET = "library";
const SIZE = [380, 520]; // of a new node, in pixels
const LEAST = 160; // pixels of height for the list

/** @type {Promise<void> | null} */
let reading = null; // the answer that several nodes wait for

/**
 * Give a node its list of files.
 * @param {ComfyNode} node
 */
function addLibrary(node) {
  const view = new LibraryView({
    choose: (file) => choose(node, file),
    chosen: () => String(findWidget(node, FILE)?.value ?? ""),
    thumbnail: (entry) => api.apiURL(`/pullback/library/thumbnail?${thumbnailQuery(entry)}`),
  });
  const widget = { name: WIDGET, type: "PULLBACK_LIBRARY", least: LEAST, size: SIZE };
  putInside(node, view.element, widget, { view });
  hidePictures(node); // the list shows the thumbnail of the last run
  followWidget(node, view);
  void readLibrary();
}

/**
 * Show a choice that is made elsewhere: in the list of names, by an undo, or by a loaded workflow.
 * @param {ComfyNode} node
 * @param {LibraryView} view
 */
function followWidget(node, view) {
  const widget = findWidget(node, FILE);
  if (widget) after(widget, "callback", () => view.markChosen());
  after(node, "onConfigure", () => view.markChosen());
}

/**
 * The part of an address that names a thumbnail. A file that changed has another one.
 * @param {Entry} entry
 * @returns {URLSearchParams}
 */
function thumbnailQuery(entry) {
  return new URLSearchParams({ file: entry.file, v: entry.changed });
}

/**
 * Choose a file, as if it had been chosen in the list of names.
 * @param {ComfyNode} node
 * @param {string} file
 */
function choose(node, file) {
  const widget = findWidget(node, FILE);
  if (!widget || widget.value === file) return;
  app.canvas.emitBeforeChange();
  widget.value = file;
  widget.callback?.(file, app.canvas, node);
  app.canvas.emitAfterChange();
}

/**
 * The lists in the nodes of the workflow.
 * @returns {[ComfyNode, LibraryView][]}
 */
function libraries() {
  return allNodes().flatMap((node) => {
    const widget = /** @type {unknown} */ (findWidget(node, WIDGET));
    const view = /** @type {{view?: LibraryView} | undefined} */ (widget)?.view;
    return view ? [/** @type {[ComfyNode, LibraryView]} */ ([node, view])] : [];
  });
}

/**
 * Read the list of files and show it in all nodes. Nodes that ask at the same time share one answer.
 * @returns {Promise<void>}
 */
function readLibrary() {
  reading ??= Promise.resolve().then(fetchLibrary).finally(() => {
    reading = null;
  });
  return reading;
}

/** Ask the server for the list of files. */
async function fetchLibrary() {
  const answer = await api.fetchApi("/pullback/library");
  /** @type {Entry[]} */
  const entries = answer.ok ? await answer.json() : [];
  for (const [node, view] of libraries()) {
    if (!answer.ok) {
      view.fail(answer.status);
      continue;
    }
    offer(node, entries);
    view.show(entries);
  }
}

/**
 * Offer the files in the list of names too.
 * @param {ComfyNode} node
 * @param {Entry[]} entries
 */
function offer(node, entries) {
  const options = /** @type {{values?: unknown} | undefined} */ (findWidget(node, FILE)?.options);
  if (!options) return;
  const known = Array.isArray(options.values) ? options.values : [];
  options.values = [...new Set([...known, ...entries.map((entry) => entry.file)])];
}

app.registerExtension({
  name: "pullback.library",
  async setup() {
    await loadStrings();
    onKept(() => void readLibrary());
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE) addLibrary(/** @type {ComfyNode} */ (node));
  },
  refreshComboInNodes: readLibrary,
});
