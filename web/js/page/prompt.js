// One run of some nodes: from the page's queue to its end.
//
// The page does not say which prompt of the server a call of `app.queuePrompt` became. It is found by what it
// shall execute: in the server's queue, or in its history if it ended at once.

import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";

/** @typedef {"done" | "failed" | "stopped"} Outcome */
/**
 * A prompt as the server's queue has it: number, id, nodes, more data, ids of the output nodes.
 * @typedef {[number, string, object, {client_id?: string}, string[]]} Queued
 */

const TRIES = 20; // looks for a prompt in the queue; without it the page refused it and shows why
const PAUSE = 100; // milliseconds between two looks

/** Prompts of this page that began, by id: how they ended, or null while they run. */
const seen = /** @type {Map<string, Outcome | null>} */ (new Map());
/** @type {Set<Prompt>} */
const open = new Set();
/** The execution id of the node that the server computes now. */
let executing = "";
let watching = false;

/** Listen to how prompts end. */
export function watchPrompts() {
  if (watching) return;
  watching = true;
  api.addEventListener("execution_start", (event) => note(event.detail.prompt_id, null));
  api.addEventListener("execution_success", (event) => note(event.detail.prompt_id, "done"));
  api.addEventListener("execution_error", (event) => note(event.detail.prompt_id, "failed"));
  api.addEventListener("execution_interrupted", (event) => note(event.detail.prompt_id, "stopped"));
  api.addEventListener("executing", (event) => {
    executing = String(event.detail ?? "");
  });
  api.addEventListener("reconnected", () => {
    for (const prompt of open) void prompt.checkLost();
  });
}

/**
 * Take in that a prompt began or ended.
 * @param {string} id
 * @param {Outcome | null} outcome
 */
function note(id, outcome) {
  seen.set(id, outcome);
  for (const prompt of open) if (prompt.id === id && outcome) prompt.settle(outcome);
}

/** A run of some output nodes. */
export class Prompt {
  /** @param {string[]} ids Execution ids of the nodes. */
  constructor(ids) {
    this.ids = ids;
    /** @type {string | null} */
    this.id = null;
    this.cancelled = false;
    /** @type {(outcome: Outcome) => void} */
    this.settle = () => {};
    /** @type {Promise<Outcome>} */
    this.ended = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  /**
   * Queue the nodes and wait for the end.
   * @returns {Promise<Outcome>}
   */
  async run() {
    const before = new Set(seen.keys());
    await app.queuePrompt(0, 1, this.ids);
    this.id = await this.find(before);
    if (this.id === null) return "failed";
    const outcome = seen.get(this.id);
    if (outcome) return outcome;
    open.add(this);
    if (this.cancelled) void this.stop();
    return this.ended.finally(() => open.delete(this));
  }

  /**
   * The id of this prompt on the server, or null if there is none.
   * @param {Set<string>} before Ids of earlier prompts.
   * @returns {Promise<string | null>}
   */
  async find(before) {
    for (let tries = 0; tries < TRIES; tries++) {
      const queued = (await readQueue()).filter((one) => this.matches(one) && seen.get(one[1]) !== "stopped");
      const newest = queued.sort((one, other) => other[0] - one[0])[0];
      if (newest) return newest[1];
      for (const id of [...seen.keys()].filter((one) => !before.has(one)).reverse()) {
        const kept = await readHistory(id);
        if (kept && this.matches(kept.prompt)) return id;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    return null;
  }

  /**
   * Whether a prompt of the server comes from this page and executes these nodes.
   * @param {Queued} queued
   * @returns {boolean}
   */
  matches(queued) {
    const outputs = queued[4];
    const isOurs = queued[3].client_id === api.clientId && outputs.length > 0;
    return isOurs && outputs.every((id) => this.ids.includes(id));
  }

  /**
   * Whether the prompt can give way to a newer one and nothing but the results of these nodes is lost: it did
   * not begin, or the server computes one of them.
   * @returns {boolean}
   */
  isOutdated() {
    return this.id !== null && (!seen.has(this.id) || this.ids.includes(executing));
  }

  /**
   * Cancel the prompt. The server ignores what does not apply: it forgets a waiting prompt, and interrupts
   * the running one if it has this id.
   */
  async stop() {
    this.cancelled = true;
    if (this.id === null) return;
    await send("/queue", { delete: [this.id] });
    await send("/interrupt", { prompt_id: this.id });
    if (!seen.has(this.id)) this.settle("stopped"); // the server says nothing about a prompt that never began
  }

  /** The connection was lost, and with it perhaps the message of the end. */
  async checkLost() {
    const id = this.id;
    if (id === null || (await readQueue()).some((one) => one[1] === id)) return;
    const kept = await readHistory(id);
    this.settle(kept?.status?.status_str === "success" ? "done" : "failed");
  }
}

/**
 * Tell the server something.
 * @param {string} route
 * @param {object} body
 */
async function send(route, body) {
  const headers = { "Content-Type": "application/json" };
  await api.fetchApi(route, { method: "POST", headers, body: JSON.stringify(body) });
}

/**
 * The prompts that the server runs or has to run.
 * @returns {Promise<Queued[]>}
 */
async function readQueue() {
  const queue = await (await api.fetchApi("/queue")).json();
  return [...queue.queue_running, ...queue.queue_pending];
}

/**
 * What the server remembers of a prompt that ended.
 * @param {string} id
 * @returns {Promise<{prompt: Queued, status?: {status_str?: string}} | undefined>}
 */
async function readHistory(id) {
  return (await (await api.fetchApi(`/history/${id}`)).json())[id];
}
