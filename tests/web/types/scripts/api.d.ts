// What the pack uses of ComfyUI's /scripts/api.js, frontend 1.27 and later.
import type { OrbitSheet, StepEvent } from "../../../../web/js/events.js";
import type { ApiPrompt } from "./app.js";

export type Executed = {
  prompt_id: string;
  node: string;
  display_node?: string;
  output?: { tbsd_orbit?: OrbitSheet[]; text?: string[] };
};

type NodeProgress = { state: string; node_id: string; display_node_id?: string };
export type ProgressState = { prompt_id: string; nodes: Record<string, NodeProgress> };

interface Events {
  "tbsd.step": StepEvent;
  executed: Executed;
  b_preview_with_metadata: { blob: Blob; nodeId: string; displayNodeId: string };
  reconnected: undefined;
  status: { exec_info?: { queue_remaining: number } } | null;
  execution_start: { prompt_id: string };
  execution_cached: { prompt_id: string; nodes: string[] };
  execution_success: { prompt_id: string };
  execution_error: { prompt_id: string; node_id: string };
  execution_interrupted: { prompt_id: string };
  progress_state: ProgressState;
}

export const api: {
  addEventListener<K extends keyof Events>(type: K, listener: (event: CustomEvent<Events[K]>) => unknown): void;
  queuePrompt(number: number, data: ApiPrompt, ...more: unknown[]): Promise<{ prompt_id?: string }>;
  apiURL(path: string): string;
  fetchApi(path: string, options?: RequestInit): Promise<Response>;
};
