// @ts-check
// The panels of the optimizers of the open graph: each hears of the runs that this tab queued from it, and offers the
// one that can be continued.

import { listRuns, listUnfinished, removeRun } from "./client.js";
import { isBound, isOwn, noteEnd, optimizersOf, queueContinuing } from "./binding.js";
import { findNode, rootGraph } from "./nodes.js";
import { offered, offersOf, together, unambiguous } from "./offers_model.js";
import { Panel } from "./panel_view.js";
import { t } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */
/** @typedef {{prompt_id: string}} OfPrompt */

/**
 * By node and by the place of the optimizer in it: "" for itself, the execution id seen from a subgraph's node.
 * @type {WeakMap<GraphNode, Map<string, Panel>>}
 */
const panels = new WeakMap();

/** @param {GraphNode} node @param {string} path */
export function addPanel(node, path) {
  /** @type {Panel} */
  const panel = new Panel({
    async resume(offer) {
      const open = [...openPanels()];
      if (!open.some(([id, each]) => each === panel && id === offer.node)) {
        throw new Error(t("The node is not in the open graph."));
      }
      await queueContinuing(together(offersOf(open), offer.node, offer));
    },
    async discard({ run }) {
      await removeRun(run);
      await askOffers();
    },
  });
  panels.set(node, (panels.get(node) ?? new Map()).set(path, panel));
  return panel;
}

/** @param {GraphNode} node @param {string} path */
export function hasPanel(node, path) {
  return panels.get(node)?.has(path) ?? false;
}

/** @param {import("./events.js").StepEvent} event */
export async function followRun(event) {
  noteEnd(event);
  const bound = isBound(event.prompt, event.graph) ? panelsAt(event.node) : [];
  // people who share a workflow file share its id: a run of another tab takes nobody's own run away
  const shown = isOwn(event.prompt) ? bound : bound.filter(({ model }) => !model.waiting && !isOwn(model.prompt));
  await Promise.all(shown.map((panel) => panel.follow(event)));
  if (shown.length && event.status !== "running") await askOffers();
}

/** Bring every panel to what the server knows: after a graph was loaded and after the connection was lost. */
export async function refresh() {
  const runs = (await listRuns()).filter(({ prompt, graph }) => isBound(prompt, graph));
  runs.forEach(noteEnd); // also those that ended while this page was away
  for (const [id, panel] of openPanels()) {
    const here = runs.filter((run) => run.node === id).sort((a, b) => (a.run < b.run ? -1 : 1));
    const newest = here.filter(({ prompt }) => isOwn(prompt)).pop() ?? here.pop();
    if (newest) await panel.restore(newest.run);
    else {
      panel.model.lose();
      panel.draw();
    }
  }
  await askOffers();
}

export function drawAll() {
  for (const [, panel] of openPanels()) panel.draw();
}

/** @param {string} prompt */
export function onQueued(prompt) {
  wait(prompt, t("Queued"));
}

/** @param {OfPrompt} detail */
export function onStart({ prompt_id }) {
  wait(prompt_id, t("Starting"));
}

/** @param {import("../../../scripts/api.js").ProgressState} detail */
export function onProgress({ prompt_id, nodes }) {
  const running = Object.values(nodes).filter(({ state }) => state === "running");
  const titles = running.map((each) => findNode(each.display_node_id ?? each.node_id)?.title ?? each.node_id);
  if (titles.length) wait(prompt_id, t("Waiting for: {node}", { node: titles.join(", ") }));
}

/** The host serves nodes from its cache. @param {OfPrompt & {nodes: string[]}} detail */
export function onCached({ prompt_id, nodes }) {
  for (const id of optimizersOf(prompt_id)) {
    for (const panel of nodes.includes(id) ? panelsAt(id) : []) {
      panel.model.reuse(prompt_id);
      panel.draw();
    }
  }
}

/** @param {OfPrompt} detail */
export async function onEnd({ prompt_id }) {
  for (const panel of optimizersOf(prompt_id).flatMap(panelsAt)) {
    panel.model.settle();
    panel.draw();
  }
  if (optimizersOf(prompt_id).length) await askOffers(); // also where a graph ended before it came to its run
}

/** Nothing is queued any more, so nothing is waited for; a graph that is taken out of the queue ends without a word. */
export async function onQueueEmpty() {
  const waiting = [...openPanels()].filter(([, panel]) => panel.model.waiting);
  for (const [, panel] of waiting) {
    panel.model.settle();
    panel.draw();
  }
  if (waiting.length) await askOffers();
}

/** Ask the server what can be continued, for the panels that have room for it. */
async function askOffers() {
  if (![...openPanels()].some(([, panel]) => !panel.model.isTicking)) return;
  const runs = await listUnfinished();
  const open = [...openPanels()];
  for (const [, panel] of open) panel.offer = null;
  for (const [id, panel] of unambiguous(open)) {
    const possible = runs.filter(({ run }) => panel.model.mayOffer(run));
    panel.offer = offered(possible, id, (node) => findNode(node)?.comfyClass);
  }
  for (const [, panel] of open) panel.draw();
}

/** @param {string} prompt @param {string} what */
function wait(prompt, what) {
  for (const panel of optimizersOf(prompt).flatMap(panelsAt)) {
    panel.model.await(prompt, what);
    panel.draw();
  }
}

/** The panels of an optimizer: its own, and those on the subgraphs that it is in. @param {string} id */
function panelsAt(id) {
  return [...openPanels()].flatMap(([each, panel]) => (each === id ? [panel] : []));
}

/**
 * The panels of the open graph with the execution ids of their optimizers, also inside subgraphs.
 * @param {import("../../../scripts/app.js").Graph | undefined} graph
 * @returns {Generator<[string, Panel]>}
 */
function* openPanels(graph = rootGraph(), prefix = "") {
  for (const node of graph?.nodes ?? []) {
    const id = `${prefix}${node.id}`;
    for (const [path, panel] of panels.get(node) ?? []) yield [path ? `${id}:${path}` : id, panel];
    if (node.subgraph) yield* openPanels(node.subgraph, `${id}:`);
  }
}
