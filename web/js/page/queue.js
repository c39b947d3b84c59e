// Running some nodes of the workflow, with what they need and nothing else.

import { executionIds } from "./graph.js";
import { Prompt, watchPrompts } from "./prompt.js";

/** @typedef {import("./prompt.js").Outcome} Outcome */

/** The runs of one set of nodes: the one under way and the one that comes after it. */
class Lane {
  /** @param {string[]} ids Execution ids of output nodes. */
  constructor(ids) {
    this.ids = ids;
    /** @type {Prompt | null} */
    this.prompt = null;
    /** @type {Promise<Outcome> | null} */
    this.running = null;
    /** @type {Promise<Outcome> | null} */
    this.waiting = null;
  }

  /**
   * Run the nodes now, or after the run under way. The page reads the widgets when a run begins, so one
   * waiting run stands for all that was asked meanwhile.
   * @returns {Promise<Outcome>}
   */
  request() {
    if (!this.running) return this.begin();
    if (this.prompt?.isOutdated()) void this.prompt.stop();
    this.waiting ??= this.running.catch(() => "failed").then(() => this.beginWaiting());
    return this.waiting;
  }

  /**
   * Begin the run that was asked for meanwhile.
   * @returns {Promise<Outcome>}
   */
  beginWaiting() {
    this.waiting = null;
    return this.begin();
  }

  /**
   * Begin a run.
   * @returns {Promise<Outcome>}
   */
  begin() {
    const prompt = new Prompt(this.ids);
    this.prompt = prompt;
    this.running = prompt.run().finally(() => {
      if (this.prompt === prompt) this.prompt = this.running = null;
    });
    return this.running;
  }
}

/** @type {Map<string, Lane>} */
const lanes = new Map();

/**
 * Run output nodes, with what they need. At most one run of the same nodes is under way. If they are run
 * again meanwhile, the run under way is given up where nothing but these nodes is lost by it, and one more
 * follows.
 * @param {ComfyNode[]} nodes
 * @returns {Promise<Outcome>} "done" when all have their results, "failed" where the page shows an error,
 *   "stopped" if the run was cancelled or gave way to a newer one.
 */
export function runNodes(nodes) {
  watchPrompts();
  const ids = idsOf(nodes);
  const name = ids.join(" ");
  const lane = lanes.get(name) ?? new Lane(ids);
  lanes.set(name, lane);
  return lane.request();
}

/**
 * Cancel the run of these nodes. Other runs in the queue stay.
 * @param {ComfyNode[]} nodes
 * @returns {Promise<void>}
 */
export async function stopNodes(nodes) {
  await lanes.get(idsOf(nodes).join(" "))?.prompt?.stop();
}

/**
 * The names by which the server knows nodes.
 * @param {ComfyNode[]} nodes
 * @returns {string[]}
 */
function idsOf(nodes) {
  return nodes.flatMap(executionIds).sort();
}

