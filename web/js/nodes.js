// @ts-check
// Nodes by what the server and the host call them.

import { app } from "../../../scripts/app.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

/** The outermost graph, also while a subgraph is open. */
export function rootGraph() {
  return app.rootGraph ?? app.graph;
}

/**
 * The node with an execution id ("3:7" is node 7 inside the subgraph node 3), or with the id by which the host keeps
 * outputs (the subgraph's own id in place of the 3).
 * @param {string | number} id
 */
export function findNode(id) {
  const path = String(id).split(":"), last = Number(path.pop());
  let graph = rootGraph();
  for (const part of path) graph = graph?.subgraphs?.get(part) ?? graph?.getNodeById(Number(part))?.subgraph;
  return graph?.getNodeById(last) ?? null;
}
