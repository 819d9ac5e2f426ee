// @ts-check
// Where the optimizers of subgraphs are: their panels are shown on the nodes outside, too.

import { OPTIMIZERS } from "./binding.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

/**
 * The optimizers inside a subgraph's node, also in subgraphs of it: their execution ids as seen from there.
 * @param {GraphNode} node
 * @returns {Generator<string>}
 */
export function* optimizersInside(node, prefix = "") {
  for (const inner of node.subgraph?.nodes ?? []) {
    if (OPTIMIZERS.has(inner.comfyClass)) yield `${prefix}${inner.id}`;
    yield* optimizersInside(inner, `${prefix}${inner.id}:`);
  }
}

/**
 * The nodes of subgraphs in a graph, and in these.
 * @param {import("../../../scripts/app.js").Graph | undefined} graph
 * @returns {Generator<GraphNode>}
 */
export function* subgraphNodes(graph) {
  for (const node of graph?.nodes ?? []) {
    if (!node.subgraph) continue;
    yield node;
    yield* subgraphNodes(node.subgraph);
  }
}
