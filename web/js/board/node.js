// A board in its node: the widgets that hold its setting, the page's own list of changes, and the server.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { findWidget } from "../page/graph.js";
import { after } from "../page/hooks.js";
import { putInside } from "../page/inside.js";
import { tellKept } from "../page/kept.js";
import { fileUrl } from "../page/outputs.js";
import { runNodes, stopNodes } from "../page/queue.js";
import { text } from "../page/strings.js";
import { Board } from "./control.js";

const WIDGET = "board";
const LIVE = "pullback.live"; // the property of the node that says whether a release runs it
const SIZE = [600, 860]; // of a new node
const LEAST = 420; // pixels of height that a board needs
const LOADER = "PullbackLoadBasis"; // the node that loads a kept direction
const BESIDE = 40; // pixels between a board and a node that it adds
const OPTIONAL = ["clip", "mask", "words", "state"]; // inputs that need no connection

/**
 * Give a node its board.
 * @param {ComfyNode} node
 */
export function addBoard(node) {
  const board = new Board(hostOf(node));
  for (const name of ["words", "state"]) hide(findWidget(node, name));
  const widget = { name: WIDGET, type: "PULLBACK_BOARD", least: LEAST, size: SIZE };
  putInside(node, board.element, widget, { label: text("board.title"), board });
  follow(node, board);
}

/**
 * The board of a node.
 * @param {ComfyNode} node
 * @returns {Board | undefined}
 */
export function boardOf(node) {
  const widget = /** @type {unknown} */ (findWidget(node, WIDGET));
  return /** @type {{board?: Board} | undefined} */ (widget)?.board;
}

/**
 * Keep a widget out of sight. Older pages know the first way, newer ones the second.
 * @param {ComfyWidget | undefined} widget
 */
function hide(widget) {
  if (!widget) return;
  widget.hidden = true;
  widget.options.hidden = true;
}

/**
 * Tell a board what happens to its node.
 * @param {ComfyNode} node
 * @param {Board} board
 */
function follow(node, board) {
  const named = () => {
    board.element.dataset.node = String(node.id);
  };
  after(node, "onConfigure", () => {
    named();
    board.restore();
  });
  after(node, "onConnectionsChange", () => board.refresh());
  after(node, "onAdded", named);
  for (const name of ["words", "state"]) {
    const widget = findWidget(node, name);
    if (widget) after(widget, "callback", () => board.readState());
  }
  named();
}

/**
 * Tell the page that the workflow changed, so that it is marked, saved and can be undone there too.
 * @param {() => void} change
 */
function recorded(change) {
  app.canvas.emitBeforeChange();
  change();
  app.canvas.emitAfterChange();
}

/**
 * What a board needs of its node.
 * @param {ComfyNode} node
 * @returns {import("./types.js").BoardHost}
 */
function hostOf(node) {
  const read = (/** @type {string} */ name) => String(findWidget(node, name)?.value ?? "");
  const write = (/** @type {string} */ name, /** @type {string} */ value) => {
    const widget = findWidget(node, name);
    if (widget) widget.value = value;
  };
  const socket = (/** @type {string} */ name) => node.inputs.find((input) => input.name === name);
  return {
    readState: () => read("state"),
    writeState: (value) => recorded(() => write("state", value)),
    readWords: () => read("words"),
    writeWords: (value) => write("words", value),
    wordsAreLinked: () => socket("words")?.link != null,
    missing: () => (node.inputs ?? [])
      .filter(({ name, link }) => link == null && !OPTIONAL.includes(name))
      .map(({ name, label, localized_name: localized }) => label || localized || name),
    isLive: () => node.properties[LIVE] !== false,
    setLive: (live) => recorded(() => {
      node.properties[LIVE] = live;
    }),
    run: () => runNodes([node]),
    cancel: () => void stopNodes([node]),
    address: fileUrl,
    keep: (name, state) => keep(boardOf(node)?.model.payload?.node ?? String(node.id), name, state),
    library: async () => (await asked("/pullback/library")).json(),
    addLoader: (file) => recorded(() => addLoader(node, file)),
    thumbnailAddress: (file) => api.apiURL(`/pullback/library/thumbnail?${new URLSearchParams({ file })}`),
  };
}

/**
 * Add a node that loads a kept direction, beside a board.
 * @param {ComfyNode} node - of the board
 * @param {string} file
 */
function addLoader(node, file) {
  const loader = /** @type {ComfyNode | null | undefined} */ (window.LiteGraph?.createNode(LOADER));
  if (!loader || !node.graph) return;
  loader.pos = [node.pos[0] + node.size[0] + BESIDE, node.pos[1]];
  node.graph.add(loader);
  const widget = findWidget(loader, "file");
  if (!widget) return;
  widget.value = file;
  widget.callback?.(file);
}

/**
 * Keep a setting in the library.
 * @param {string} node - its id on the server
 * @param {string} name
 * @param {string} state
 * @returns {Promise<string>} where it is
 */
async function keep(node, name, state) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ node, name, state });
  const { file } = await (await asked("/pullback/keep", { method: "POST", headers, body })).json();
  tellKept();
  return file;
}

/**
 * Ask the server. What it refuses becomes an error of one sentence.
 * @param {string} route
 * @param {RequestInit} [request]
 * @returns {Promise<Response>}
 */
async function asked(route, request) {
  const answer = await api.fetchApi(route, request);
  if (answer.ok) return answer;
  const isSentence = answer.headers.get("Content-Type")?.includes("json");
  const said = isSentence ? (await answer.json()).error : "";
  throw new Error(said || text("board.refused", { status: answer.status }));
}
