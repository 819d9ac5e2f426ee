// @ts-check
// Binds what the server says of prompts to this tab and to the graph that is open in it.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { rootGraph } from "./nodes.js";
import { Prompts, isFrom } from "./prompts_model.js";
import { t } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").ApiPrompt} ApiPrompt */

export const OPTIMIZERS = new Set(["TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh"]);
const NO_ID = "00000000-0000-0000-0000-000000000000"; // of every template
const UUID = "10000000-1000-4000-8000-100000000000";

const prompts = new Prompts(sessionStorage);
/** @type {Map<string, string> | null} runs by node, with which the next graph that is queued goes on */
let continued = null;
let inFlight = 0; // graphs that are being queued; the server may speak of them before it has told their ids
/** @type {(() => void)[]} what it said of prompts that are not known yet */
let early = [];

/**
 * Give a graph an id of its own, as hosts from 2026 do by themselves. Templates share one, and node ids are alike in all.
 * The host stores it with the graph, so it survives reloads, renaming and saving.
 */
export function nameGraph() {
  const graph = rootGraph();
  if (!graph || (graph.id && graph.id !== NO_ID)) return;
  const random = () => crypto.getRandomValues(new Uint8Array(1))[0] ?? 0;
  graph.id = UUID.replace(/[018]/g, (digit) => (Number(digit) ^ ((random() & 15) >> (Number(digit) / 4))).toString(16));
}

/** @param {(prompt: string) => void} onQueued */
export function watchQueue(onQueued) {
  const queue = api.queuePrompt;
  api.queuePrompt = async (number, data, ...more) => {
    nameGraph();
    const { graph = "", path = "" } = openGraph();
    const nodes = Object.entries(data.output).flatMap(([id, node]) => (OPTIMIZERS.has(node.class_type) ? [id] : []));
    inFlight += 1;
    try {
      const answer = await queue.call(api, number, withRun(data), ...more);
      if (answer.prompt_id) {
        prompts.note(answer.prompt_id, { graph, path, nodes });
        onQueued(answer.prompt_id);
      }
      return answer;
    } finally {
      inFlight -= 1;
      const waiting = early;
      early = [];
      for (const again of waiting) again();
    }
  };
}

/**
 * A listener that hears only of prompts of this tab.
 * @template {{prompt?: string | null, prompt_id?: string}} D
 * @param {(detail: D) => unknown} listen
 * @returns {(event: {detail: D}) => void}
 */
export function ofThisTab(listen) {
  return function hear({ detail }) {
    if (prompts.of(detail.prompt ?? detail.prompt_id)) listen(detail);
    else if (inFlight) early.push(() => hear({ detail }));
  };
}

/** Whether a prompt was queued by this tab from the graph that is open. @param {string | null | undefined} prompt */
export function isBound(prompt) {
  const origin = prompts.of(prompt);
  return origin !== undefined && isFrom(origin, openGraph());
}

/** The optimizers of a prompt, by execution id; none of a graph that is not open. @param {string} prompt */
export function optimizersOf(prompt) {
  return isBound(prompt) ? (prompts.of(prompt)?.nodes ?? []) : [];
}

/**
 * Queue the open graph once, to go on with runs at some of its nodes; nothing on the canvas changes.
 * @param {Map<string, string>} runs by the node's execution id
 */
export async function queueContinuing(runs) {
  continued = runs;
  await app.queuePrompt(0);
  if (continued === null) return;
  continued = null;
  throw new Error(t("ComfyUI is queueing another graph; try again."));
}

/** @param {ApiPrompt} data @returns {ApiPrompt} */
function withRun(data) {
  const found = [...(continued ?? [])].filter(([node]) => data.output[node]);
  if (!found.length) return data;
  const output = { ...data.output };
  for (const [node, run] of found) {
    const target = /** @type {NonNullable<typeof output[string]>} */ (output[node]);
    output[node] = { ...target, inputs: { ...target.inputs, continue_run: run } };
  }
  continued = null;
  return { ...data, output };
}

function openGraph() {
  const { activeWorkflow, openWorkflows = [] } = app.extensionManager.workflow ?? {};
  const path = activeWorkflow?.path;
  const others = openWorkflows.flatMap((each) => (each.path === path ? [] : [each.path]));
  return { graph: rootGraph()?.id, path, others };
}
