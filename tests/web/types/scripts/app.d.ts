// What the pack uses of ComfyUI's /scripts/app.js, frontend 1.27 and later.
import type { OrbitSheet } from "../../../../web/js/events.js";

export interface Graph {
  id?: string;
  nodes: GraphNode[];
  getNodeById(id: number): GraphNode | null | undefined;
  setDirtyCanvas(foreground: boolean, background: boolean): void;
}

export interface GraphNode {
  id: number;
  comfyClass: string;
  subgraph?: Graph;
  addDOMWidget(
    name: string,
    type: string,
    element: HTMLElement,
    options?: {
      serialize?: boolean;
      hideOnZoom?: boolean;
      getMinHeight?: () => number;
      getMaxHeight?: () => number;
    },
  ): unknown;
}

export const app: {
  graph?: Graph;
  rootGraph?: Graph;
  nodeOutputs?: Record<string, { tbsd_orbit?: OrbitSheet[] } | undefined>;
  nodePreviewImages?: Record<string, string[]>;
  extensionManager: { setting: { get(id: string): unknown } };
  registerExtension(extension: {
    name: string;
    setup?(): Promise<void> | void;
    nodeCreated?(node: GraphNode): void;
    afterConfigureGraph?(): Promise<void> | void;
  }): void;
};
