// What a cell of the sheet is given to: edits and boards that have the basis of the sheet.

import { app } from "../../../../scripts/app.js";
import { boardOf } from "../board/node.js";
import { allNodes, findWidget } from "../page/graph.js";
import { isActive, outputsAfter, sourceOf } from "../page/links.js";
import { runNodes } from "../page/queue.js";

const EDIT = "PullbackGuidanceEdit";
const BOARD = "PullbackBoard";
const SEEN = "picture"; // the unit in which boards count
const DIGITS = 4; // of strengths behind the point

/**
 * A cell of a sheet: its place in pixels of the sheet's file, its direction, counted from 1, and its
 * strength.
 * @typedef {{x: number, y: number, width: number, height: number, direction: number, strength: number}} Cell
 */
/**
 * What the server says of a sheet.
 * @typedef {{
 *   file: {filename: string, subfolder?: string, type?: string}, size: [number, number], unit: string,
 *   steps: number, made: string, levels: number, columns: string[],
 *   rows: {label: string, notes: string}[],
 *   cells: Cell[],
 * }} Sheet
 */

/**
 * The nodes of a type that have the same basis as another node.
 * @param {ComfyNode} node
 * @param {string} type
 * @returns {ComfyNode[]}
 */
function companions(node, type) {
  const source = sourceOf(node, "basis");
  if (!source) return [];
  const same = allNodes().filter((other) => other.comfyClass === type && isActive(other));
  return same.filter((other) => sourceOf(other, "basis") === source);
}

/**
 * Write a value into a widget, as if it had been chosen there.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {string | number} value
 */
function write(node, name, value) {
  const widget = findWidget(node, name);
  if (!widget) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
}

/**
 * Set an edit to one picture: that of a cell.
 * @param {ComfyNode} edit
 * @param {Cell} cell
 * @param {Sheet} sheet
 */
function setEdit(edit, cell, sheet) {
  write(edit, "direction", cell.direction);
  write(edit, "strength", Number(cell.strength.toFixed(DIGITS)));
  write(edit, "steps", sheet.steps);
  write(edit, "strengths", 1);
  write(edit, "directions", 1);
  write(edit, "unit", sheet.unit);
}

/**
 * Give a cell to all that have the basis of its sheet, and run what comes after them.
 * @param {ComfyNode} node The node of the sheet.
 * @param {Sheet} sheet
 * @param {Cell} cell
 * @returns {{said: string, nodes: ComfyNode[], done: Promise<unknown> | null}} The name of what to say, the
 *   nodes that took it, and the end of their run if something runs.
 */
export function giveCell(node, sheet, cell) {
  const edits = companions(node, EDIT);
  const allBoards = companions(node, BOARD);
  const boards = sheet.unit === SEEN ? allBoards : [];
  if (edits.length + allBoards.length === 0) return { said: "nothing", nodes: [], done: null };
  if (edits.length + boards.length === 0) return { said: "other_unit", nodes: [], done: null };
  app.canvas.emitBeforeChange();
  for (const edit of edits) setEdit(edit, cell, sheet);
  app.canvas.emitAfterChange();
  const strength = Number(cell.strength.toFixed(DIGITS));
  for (const board of boards) boardOf(board)?.takeCell(cell.direction - 1, strength);
  const outputs = outputsAfter(edits);
  const done = outputs.length > 0 ? runNodes(outputs) : null;
  const said = edits.length > 0 && !done ? "no_output" : "set";
  return { said, nodes: [...edits, ...boards], done };
}
