// The graphs of the page and the ids of their nodes.
//
// A node has three names. Its id is unique within its graph alone. Its execution id, such as "12:5" (node 5
// within the subgraph node 12), is what the server knows. Its locator id, such as "uuid:5", names the graph
// by its uuid.

import { app } from "../../../../scripts/app.js";

/**
 * The graph of the whole workflow. Older pages have it under another name.
 * @returns {ComfyGraph}
 */
export function rootGraph() {
  return app.rootGraph ?? app.graph;
}

/**
 * Every graph of the workflow: the whole and what is inside its subgraphs.
 * @returns {ComfyGraph[]}
 */
function allGraphs() {
  const root = rootGraph();
  const inside = root.subgraphs ? [...root.subgraphs.values()] : [];
  return [root, .../** @type {ComfyGraph[]} */ (/** @type {unknown} */ (inside))];
}

/**
 * Every node of the workflow, those within subgraphs too, each once.
 * @returns {ComfyNode[]}
 */
export function allNodes() {
  return allGraphs().flatMap((graph) => /** @type {ComfyNode[]} */ (graph.nodes));
}

/**
 * The node of an execution id ("12:5") or of a locator id ("uuid:5"). A shared subgraph has each node once,
 * so the ids of its copies find the same node.
 * @param {string | number} id
 * @returns {ComfyNode | undefined} Nothing if the workflow has no such node.
 */
export function findNode(id) {
  const path = String(id).split(":");
  const last = path.pop() ?? "";
  /** @type {ComfyGraph | undefined} */
  let graph = rootGraph();
  for (const part of path) {
    const named = allGraphs().find((one) => one.id === part);
    graph = named ?? nodeOf(graph, part)?.subgraph;
  }
  return nodeOf(graph, last);
}

/**
 * The node of an id within one graph.
 * @param {ComfyGraph | undefined} graph
 * @param {string} id
 * @returns {ComfyNode | undefined}
 */
function nodeOf(graph, id) {
  return /** @type {ComfyNode | undefined} */ (graph?.getNodeById(/** @type {never} */ (id)) ?? undefined);
}

/**
 * The names by which the server knows a node: one for each copy of the subgraph around it.
 * @param {ComfyNode} node
 * @returns {string[]}
 */
export function executionIds(node) {
  if (node.graph === rootGraph()) return [String(node.id)];
  const around = allNodes().filter((one) => one.subgraph !== undefined && one.subgraph === node.graph);
  return around.flatMap(executionIds).map((path) => `${path}:${node.id}`);
}

/**
 * The name by which the server knows a node. A node in a subgraph that is used several times has several:
 * this is the first.
 * @param {ComfyNode} node
 * @returns {string}
 */
export function executionId(node) {
  return executionIds(node)[0] ?? String(node.id);
}

/**
 * The name of a node that stays the same when the page makes the node again, for an undo and after a reload.
 * @param {ComfyNode} node
 * @returns {string}
 */
export function locatorId(node) {
  if (!node.graph || node.graph === rootGraph()) return String(node.id);
  return `${node.graph.id}:${node.id}`;
}

/**
 * A widget of a node by its name.
 * @param {ComfyNode} node
 * @param {string} name
 * @returns {ComfyWidget | undefined}
 */
export function findWidget(node, name) {
  return /** @type {ComfyWidget | undefined} */ (node.widgets?.find((widget) => widget.name === name));
}
