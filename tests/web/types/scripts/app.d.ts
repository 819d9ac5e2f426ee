// What the pack uses of ComfyUI's /scripts/app.js, frontend 1.27 and later.
import type { OrbitSheet } from "../../../../web/js/events.js";

export interface Graph {
  id?: string;
  nodes: GraphNode[];
  subgraphs?: Map<string, Graph>;
  getNodeById(id: number): GraphNode | null | undefined;
  setDirtyCanvas(foreground: boolean, background: boolean): void;
}

export interface Widget {
  name: string;
  value: unknown;
  label?: string;
  serialize?: boolean;
  element?: HTMLElement;
}

export interface GraphNode {
  id: number;
  comfyClass: string;
  constructor: { nodeData: { description: string } };
  size: [number, number];
  widgets?: Widget[];
  subgraph?: Graph;
  onDragOver?: (event: DragEvent) => boolean;
  onDragDrop?: (event: DragEvent) => Promise<boolean>;
  computeSize(): [number, number];
  setSize(size: [number, number]): void;
  addWidget(
    type: "button",
    name: string,
    value: null,
    callback: () => void,
    options: { serialize: boolean },
  ): Widget;
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
  ): Widget;
}

type Output = { tbsd_orbit?: OrbitSheet[]; text?: string[] };

export const app: {
  graph?: Graph;
  rootGraph?: Graph;
  nodeOutputs?: Record<string, Output | undefined>;
  nodePreviewImages?: Record<string, string[]>;
  extensionManager: {
    setting: { get(id: string): unknown };
    toast: { add(message: { severity: "error"; summary: string; detail: string; life: number }): void };
  };
  registerExtension(extension: {
    name: string;
    setup?(): Promise<void> | void;
    nodeCreated?(node: GraphNode): void;
    onNodeOutputsUpdated?(outputs: Record<string, Output | undefined>): void;
    afterConfigureGraph?(): Promise<void> | void;
  }): void;
};
