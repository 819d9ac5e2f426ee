// @ts-check
// What nodes say of their results (triangles, names of files, what was left out), in a small text area on the node.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { OPTIMIZERS, isBound, ofThisTab } from "./binding.js";
import { findNode } from "./nodes.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

const LINE = 15, SPACE = 32, MOST_LINES = 9; // pixels, with the host's margins; more lines scroll
const LETTER = 5.8; // pixels, on average

/** The height of a text on a node of this width. @param {string} text @param {number} width */
function noteHeight(text, width) {
  const letters = Math.max(10, (width - 44) / LETTER);
  const lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / letters)), 0);
  return Math.min(lines, MOST_LINES) * LINE + SPACE;
}

/**
 * Show a text under the widgets of a node; the first one makes the place for it.
 * @param {GraphNode} node
 * @param {string} text
 */
export function showNote(node, text) {
  const known = node.widgets?.find((widget) => widget.name === "tbsd_note");
  const area = known?.element ?? document.createElement("div");
  area.textContent = text;
  if (!known) {
    area.className = "tbsd-message";
    area.addEventListener("pointerdown", (event) => event.stopPropagation()); // to mark and copy it
    const height = () => noteHeight(area.textContent ?? "", node.size[0]);
    const options = { serialize: false, hideOnZoom: false, getMinHeight: height, getMaxHeight: height };
    node.addDOMWidget("tbsd_note", "TBSD_NOTE", area, options).serialize = false; // nor in the workflow
  }
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  app.graph?.setDirtyCanvas(true, true);
}

/** @param {string | number} id @param {{text?: string[]} | undefined} output */
function showOutput(id, output) {
  const node = output?.text && findNode(id);
  const text = output?.text?.join("\n");
  const isShown = node?.comfyClass?.startsWith("TBSD_") && !OPTIMIZERS.has(node.comfyClass); // their panels say it
  if (node && text && isShown) showNote(node, text);
}

app.registerExtension({
  name: "tbsd.notes",

  setup() {
    const show = ofThisTab((/** @type {import("../../../scripts/api.js").Executed} */ detail) => {
      if (isBound(detail.prompt_id)) showOutput(detail.display_node ?? detail.node, detail.output);
    });
    api.addEventListener("executed", show); // of another graph it is shown when that is opened again
  },

  /** The host has brought back what a graph showed before, as when its tab is opened again. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) showOutput(id, output);
  },

  nodeCreated(node) {
    if (node.comfyClass === "TBSD_DemoModels") showNote(node, node.constructor.nodeData.description); // its words
  },
});
