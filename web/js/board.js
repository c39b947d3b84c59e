// The node Direction Board has its board: a picture with sliders that answer at once.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { addBoard, boardOf } from "./board/node.js";
import { allNodes, findNode } from "./page/graph.js";
import { onOutput } from "./page/outputs.js";
import { loadStrings } from "./page/strings.js";

/** The runs of boards that are under way. */
function runs() {
  const runners = allNodes().map((node) => boardOf(node)?.runner);
  return runners.filter((runner) => runner?.busy);
}

/** Tell boards how far their run is, and why it failed. */
function listenToServer() {
  api.addEventListener("progress", ({ detail }) => {
    const title = findNode(detail.node)?.title ?? "";
    for (const run of runs()) run?.progress(title, detail.value / detail.max);
  });
  api.addEventListener("execution_error", ({ detail }) => {
    const [failure] = detail.exception_message.trim().split("\n");
    for (const run of runs()) if (run) run.failure = failure;
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
