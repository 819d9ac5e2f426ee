// @ts-check
// Binds what the server says of prompts to this tab and to the graph that is open in it.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { rootGraph } from "./nodes.js";
import { Prompts, isFrom, madeOf } from "./prompts_model.js";
import { t } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").ApiPrompt} ApiPrompt */

export const OPTIMIZERS = new Set(["TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh"]);
const NO_ID = "00000000-0000-0000-0000-000000000000"; // of every template
const UUID = "10000000-1000-4000-8000-100000000000";

const prompts = new Prompts(sessionStorage);
/** The place in the queue of a graph that goes on with runs; to the host it is 0, the end, as for all others. */
const CONTINUING = -0;
/**
 * The runs by node of graphs that the host is still to queue, and who hears how that went.
 * @type {{runs: Map<string, string>, settle: (error?: unknown) => void}[]}
 */
const toContinue = [];
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
    const chosen = Object.is(number, CONTINUING) ? toContinue.pop() : undefined;
    const continuing = continuingOf(data.output, nodes, chosen?.runs ?? new Map(), graph);
    inFlight += 1;
    try {
      const answer = await queue.call(api, number, withRuns(data, continuing), ...more);
      if (answer.prompt_id) {
        prompts.note(answer.prompt_id, { graph, path, nodes, continuing });
        onQueued(answer.prompt_id);
      }
      chosen?.settle();
      return answer;
    } catch (error) {
      chosen?.settle(error);
      throw error;
    } finally {
      inFlight -= 1;
      const waiting = early;
      early = [];
      for (const again of waiting) again();
    }
  };
}

/**
 * A listener that hears only of prompts of this tab, and of runs of the open graph that a tab which is gone has queued.
 * @template {{prompt?: string | null, prompt_id?: string, graph?: string | null}} D
 * @param {(detail: D) => unknown} listen
 * @returns {(event: {detail: D}) => void}
 */
export function ofThisTab(listen) {
  return function hear({ detail }) {
    const prompt = detail.prompt ?? detail.prompt_id;
    if (prompts.of(prompt) || isBound(prompt, detail.graph)) listen(detail);
    else if (inFlight) early.push(() => hear({ detail }));
  };
}

/**
 * Whether a prompt came from the graph that is open: queued by this tab, or by one that does not tell its own any more.
 * @param {string | null | undefined} prompt
 * @param {string | null} [graph] the id of its graph, as the server knows it
 */
export function isBound(prompt, graph) {
  const origin = prompts.of(prompt);
  const open = openGraph();
  return origin ? isFrom(origin, open) : Boolean(graph) && !inFlight && graph === open.graph;
}

/** Whether this tab has queued a prompt. @param {string | null | undefined} prompt */
export function isOwn(prompt) {
  return prompts.of(prompt) !== undefined;
}

/** A run has ended. @param {{prompt: string | null, node: string, status: string}} run */
export function noteEnd({ prompt, node, status }) {
  if (status === "done") prompts.finish(prompt, node);
}

/** A node of a prompt has failed. @param {{prompt_id: string, node_id: string}} detail */
export function noteError({ prompt_id, node_id }) {
  prompts.forget(prompt_id, node_id);
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
  const { output } = await app.graphToPrompt();
  if (![...runs.keys()].some((node) => output[node])) {
    throw new Error(t("The node is muted or bypassed: switch it on to continue its run."));
  }
  const queued = new Promise((resolve) => toContinue.push({ runs, settle: resolve }));
  try {
    await app.queuePrompt(CONTINUING); // while the host queues a batch, it queues this graph after it
  } catch (error) {
    toContinue.splice(toContinue.findIndex((each) => each.runs === runs) >>> 0, 1);
    throw error;
  }
  const error = await queued; // the host shows a refusal in a dialog and throws nothing
  if (error) throw error;
}

/**
 * With which runs a graph goes on: those of a person's choice, and those that it has gone on with to their end.
 * @param {ApiPrompt["output"]} output
 * @param {string[]} nodes its optimizers
 * @param {Map<string, string>} runs that were chosen, by node
 * @param {string} graph
 */
function continuingOf(output, nodes, runs, graph) {
  /** @type {Record<string, import("./prompts_model.js").Continuing>} */
  const found = {};
  for (const node of nodes) {
    const made = madeOf(output, node);
    const done = runs.has(node) ? undefined : prompts.finished(graph, node, made);
    const run = runs.get(node) ?? done;
    if (run) found[node] = { run, made, done: done !== undefined };
  }
  return found;
}

/** @param {ApiPrompt} data @param {Record<string, {run: string}>} continuing @returns {ApiPrompt} */
function withRuns(data, continuing) {
  const output = { ...data.output };
  for (const [node, { run }] of Object.entries(continuing)) {
    const target = /** @type {NonNullable<typeof output[string]>} */ (output[node]);
    output[node] = { ...target, inputs: { ...target.inputs, continue_run: run } };
  }
  return { ...data, output };
}

function openGraph() {
  const { activeWorkflow, openWorkflows = [] } = app.extensionManager.workflow ?? {};
  const path = activeWorkflow?.path;
  const others = openWorkflows.flatMap((each) => (each.path === path ? [] : [each.path]));
  return { graph: rootGraph()?.id, path, others };
}
