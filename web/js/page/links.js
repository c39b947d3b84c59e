// Following connections, through reroutes and the borders of subgraphs.

import { allNodes, locatorId } from "./graph.js";

const INPUTS = -10; // the id that links have for the inputs of the subgraph around them
const OUTPUTS = -20; // and for its outputs
const LONGEST = 1000; // steps along one connection; a circle of reroutes would not end
const MUTED = [2, 4]; // the modes of nodes that the page leaves out: never, and bypassed

/**
 * A connection as the page has it.
 * @typedef {object} Connection
 * @property {number | string} origin_id
 * @property {number} origin_slot
 * @property {number | string} target_id
 * @property {number} target_slot
 */
/** @typedef {{inputs?: {linkIds?: number[]}[], outputs?: {linkIds?: number[]}[]}} Border */

/**
 * A connection of a graph by its id.
 * @param {ComfyGraph | null | undefined} graph
 * @param {number | null | undefined} id
 * @returns {Connection | undefined}
 */
function connection(graph, id) {
  if (!graph || id === null || id === undefined) return undefined;
  return /** @type {Connection | undefined} */ (/** @type {unknown} */ (graph.getLink(id) ?? undefined));
}

/**
 * The nodes that stand for a subgraph.
 * @param {unknown} graph
 * @returns {ComfyNode[]}
 */
function nodesAround(graph) {
  return allNodes().filter((node) => node.subgraph !== undefined && node.subgraph === graph);
}

/**
 * What a subgraph has at its border.
 * @param {ComfyGraph} graph
 * @returns {Border}
 */
function borderOf(graph) {
  return /** @type {Border} */ (/** @type {unknown} */ (graph));
}

/**
 * Where an input gets its value from, as a text that is the same for all inputs of one source; "" if it is
 * not connected.
 * @param {ComfyNode} node
 * @param {string} name The name of the input.
 * @returns {string}
 */
export function sourceOf(node, name) {
  let graph = node.graph;
  let link = connection(graph, node.inputs?.find((input) => input.name === name)?.link);
  for (let step = 0; step < LONGEST && link && graph; step++) {
    const from = link;
    if (from.origin_id === INPUTS) {
      const [around] = nodesAround(graph);
      graph = around?.graph ?? null;
      link = connection(graph, around?.inputs[from.origin_slot]?.link);
      continue;
    }
    const origin = /** @type {ComfyNode | null} */ (graph.getNodeById(/** @type {never} */ (from.origin_id)));
    if (!origin) return "";
    if (origin.subgraph) {
      graph = origin.subgraph;
      link = connection(graph, borderOf(graph).outputs?.[from.origin_slot]?.linkIds?.[0]);
    } else if (origin.type === "Reroute") {
      link = connection(graph, origin.inputs[0]?.link);
    } else {
      return `${locatorId(origin)} ${from.origin_slot}`;
    }
  }
  return "";
}

/**
 * The nodes and borders that the outputs of a node lead to, one step far.
 * @param {ComfyGraph | null} graph The graph of the connections.
 * @param {(number | null | undefined)[]} ids Connections.
 * @returns {ComfyNode[]}
 */
function targets(graph, ids) {
  return ids.flatMap((id) => {
    const link = connection(graph, id);
    if (!link || !graph) return [];
    if (link.target_id === OUTPUTS) {
      return nodesAround(graph).flatMap((around) =>
        targets(around.graph, around.outputs[link.target_slot]?.links ?? []));
    }
    const target = /** @type {ComfyNode | null} */ (graph.getNodeById(/** @type {never} */ (link.target_id)));
    if (!target) return [];
    if (!target.subgraph) return [target];
    return targets(target.subgraph, borderOf(target.subgraph).inputs?.[link.target_slot]?.linkIds ?? []);
  });
}

/**
 * The output nodes that get something from these nodes, directly or through others. Muted nodes are left out.
 * @param {ComfyNode[]} nodes
 * @returns {ComfyNode[]}
 */
export function outputsAfter(nodes) {
  const found = new Set(nodes);
  for (const node of found) { // a Set that grows while it is walked
    for (const next of targets(node.graph, (node.outputs ?? []).flatMap((output) => output.links ?? []))) {
      found.add(next);
    }
  }
  return [...found].filter((node) => isOutput(node) && isActive(node));
}

/**
 * Whether the page runs a node, if something asks for it.
 * @param {ComfyNode} node
 * @returns {boolean}
 */
export function isActive(node) {
  return !MUTED.includes(node.mode);
}

/**
 * Whether a node shows or saves something, so that it can be run by itself.
 * @param {ComfyNode} node
 * @returns {boolean}
 */
function isOutput(node) {
  const { nodeData } = /** @type {{nodeData?: {output_node?: boolean}}} */ (
    /** @type {unknown} */ (node.constructor));
  return nodeData?.output_node === true;
}
