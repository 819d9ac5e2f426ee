// What the pack uses of ComfyUI's /scripts/api.js, frontend 1.27 and later.
import type { OrbitSheet, StepEvent } from "../../../../web/js/events.js";

type Executed = { node: string; display_node?: string; output?: { tbsd_orbit?: OrbitSheet[]; text?: string[] } };

interface Events {
  "tbsd.step": StepEvent;
  executed: Executed;
  b_preview_with_metadata: { blob: Blob; nodeId: string; displayNodeId: string };
  reconnected: undefined;
}

export const api: {
  addEventListener<K extends keyof Events>(type: K, listener: (event: CustomEvent<Events[K]>) => unknown): void;
  apiURL(path: string): string;
  fetchApi(path: string, options?: RequestInit): Promise<Response>;
};
