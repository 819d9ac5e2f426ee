// @ts-check
// Every picture once: what the host draws of a run and of its result, where a panel shows it better.

import { app } from "../../../scripts/app.js";
import { rootGraph } from "./nodes.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

/**
 * Leave the pictures of a node to its panel. The host still knows them, for its queue and for a subgraph that shows
 * them outside.
 * @param {GraphNode} node
 */
export function leaveToPanel(node) {
  node.onDrawBackground = () => {}; // the classic canvas draws them from there
  node.hideOutputImages = true; // Nodes 2.0: the result; panel.css hides the picture of the run that goes on
}

/**
 * Take away the last picture of a run, which the host keeps in front of the result, or beside it.
 * @param {GraphNode} node
 */
export function dropLivePreview(node) {
  const { graph, id } = node;
  const locator = !graph || graph === rootGraph() ? String(id) : `${graph.id}:${id}`;
  // the canvas reads the object, Nodes 2.0 the store, whose function also frees the picture
  app.extensionManager._p?._s.get("nodeOutput")?.revokePreviewsByLocatorId?.(locator);
  if (app.nodePreviewImages) delete app.nodePreviewImages[locator];
  app.graph?.setDirtyCanvas(true, false);
}
