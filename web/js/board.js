// The node Direction Board has its board: a picture with sliders that answer at once.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { addBoard, boardOf } from "./board/node.js";
import { allNodes, findNode } from "./page/graph.js";
import { onOutput } from "./page/outputs.js";
import { loadStrings } from "./page/strings.js";

/** The boards whose run is under way. */
function busyBoards() {
  const boards = allNodes().map(boardOf);
  return boards.filter((board) => board !== undefined && board.view.status.busy);
}

/** Tell boards how far their run is, and why it failed. */
function listenToServer() {
  api.addEventListener("progress", ({ detail }) => {
    const title = findNode(detail.node)?.title ?? "";
    for (const board of busyBoards()) board?.progress(title, detail.value / detail.max);
  });
  api.addEventListener("execution_error", ({ detail }) => {
    for (const board of busyBoards()) if (board) board.failure = detail.exception_message.trim().split("\n")[0];
  });
}

onOutput("pullback_board", (node, [payload]) => {
  void boardOf(node)?.take(/** @type {import("./board/types.js").Payload} */ (payload));
});

app.registerExtension({
  name: "pullback.board",
  async setup() {
    await loadStrings();
    listenToServer();
  },
  nodeCreated(node) {
    if (node.comfyClass === "PullbackBoard") addBoard(/** @type {ComfyNode} */ (node));
  },
});
