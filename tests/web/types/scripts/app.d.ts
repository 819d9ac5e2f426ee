// What the pack uses of ComfyUI's /scripts/app.js, frontend 1.27 and later.
import type { OrbitSheet } from "../../../../web/js/events.js";

export interface ApiPrompt {
  output: Record<string, { class_type: string; inputs: Record<string, unknown> }>;
  workflow: unknown;
}

interface Setting {
  id: string;
  name: string;
  tooltip: string;
  type: string;
  defaultValue: number;
  attrs: Record<string, unknown>;
  category: string[];
}

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
  title: string;
  constructor: { nodeData: { description: string } };
  size: [number, number];
  widgets?: Widget[];
  subgraph?: Graph;
  graph?: Graph | null;
  hideOutputImages?: boolean;
  onDrawBackground?: () => void;
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

export type Output = { tbsd_orbit?: OrbitSheet[]; text?: string[] };

export const app: {
  graph?: Graph;
  rootGraph?: Graph;
  nodeOutputs?: Record<string, Output | undefined>;
  nodePreviewImages?: Record<string, string[]>;
  extensionManager: {
    _p?: { _s: Map<string, { revokePreviewsByLocatorId?: (locator: string) => void }> };
    setting: { get(id: string): unknown };
    workflow?: { activeWorkflow?: { path: string } | null; openWorkflows?: { path: string }[] };
    toast: { add(message: { severity: "error"; summary: string; detail: string; life: number }): void };
  };
  graphToPrompt(): Promise<ApiPrompt>;
  queuePrompt(number: number): Promise<boolean>;
  registerExtension(extension: {
    name: string;
    settings?: Setting[];
    setup?(): Promise<void> | void;
    nodeCreated?(node: GraphNode): void;
    onNodeOutputsUpdated?(outputs: Record<string, Output | undefined>): void;
    afterConfigureGraph?(): Promise<void> | void;
  }): void;
};
