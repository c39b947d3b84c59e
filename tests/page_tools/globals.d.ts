// Names of types that every module of web/js may use in JSDoc without an import. They exist for tsc alone.

import type { ComfyApp, DOMWidget, DOMWidgetOptions } from "@comfyorg/comfyui-frontend-types";

declare global {
  /** A graph of the page: the whole workflow, or what is inside a subgraph. */
  type ComfyGraph = ComfyApp["rootGraph"];
  /** A node on the canvas, with what the page adds to litegraph's own. */
  type ComfyNode = NonNullable<ReturnType<ComfyGraph["getNodeById"]>> & {
    addDOMWidget<E extends HTMLElement, V extends object | string = object | string>(
      name: string,
      type: string,
      element: E,
      options?: DOMWidgetOptions<V> & { serialize?: boolean; hideInPanel?: boolean },
    ): DOMWidget<E, V>;
    /** What is inside, if the node is a subgraph. */
    subgraph?: ComfyGraph;
  };
  /** A widget of a node. The page asks `serializeValue` for what it sends to the server. */
  type ComfyWidget = NonNullable<ComfyNode["widgets"]>[number] & {
    serializeValue?: (node: ComfyNode, index: number) => unknown;
    element?: HTMLElement;
  };
  /** What the server sent with the outputs of one node: lists by name. */
  type ComfyOutput = Record<string, unknown>;

  interface Window {
    app?: ComfyApp;
    LiteGraph?: { createNode(type: string): unknown };
    comfyAPI?: { utils?: { applyTextReplacements?: (app: ComfyApp, text: string) => string } };
  }
}
