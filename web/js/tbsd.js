// @ts-check
// The live panel of the optimizer nodes and the orbit view of Render Views.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { fetchTranslations, listRuns } from "./client.js";
import { STEP } from "./events.js";
import { Orbit, ORBIT_HEIGHT } from "./orbit_view.js";
import { Panel, PANEL_HEIGHT } from "./panel_view.js";
import { useTranslations } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

const OPTIMIZERS = new Set(["TBSD_OptimizeImage", "TBSD_Optimizer3D"]);
const ORBITS = new Set(["TBSD_RenderViews"]);
const PREVIEWING = new Set([
  ...OPTIMIZERS,
  "TBSD_InspectDirections",
  "TBSD_OverTime",
  "TBSD_SeedsGrid",
  "TBSD_SweepShape",
  "TBSD_ObjectivePath",
]);

/** @type {WeakMap<GraphNode, Panel>} */
const panels = new WeakMap();
/** @type {WeakMap<GraphNode, Orbit>} */
const orbits = new WeakMap();

/** The node with an execution id, also inside subgraphs ("3:7"). @param {string | number} id */
function findNode(id) {
  const path = String(id).split(":");
  /** @type {import("../../../scripts/app.js").Graph | undefined} */
  let graph = app.rootGraph ?? app.graph;
  for (const part of path.slice(0, -1)) graph = graph?.getNodeById(Number(part))?.subgraph;
  return graph?.getNodeById(Number(path[path.length - 1])) ?? null;
}

/**
 * The panel that a run belongs to; none if the graph on the canvas is another one.
 * @param {{node: string, workflow: string | null}} run
 */
function panelOf(run) {
  const open = (app.rootGraph ?? app.graph)?.id;
  if (run.workflow && open && run.workflow !== open) return undefined;
  const node = findNode(run.node);
  return node ? panels.get(node) : undefined;
}

/** Bring every panel to what the server knows: after a graph was loaded and after the connection was lost. */
async function refresh() {
  const runs = await listRuns();
  const known = new Set(runs.map((run) => run.run));
  for (const run of runs) await panelOf(run)?.restore(run.run);
  for (const node of (app.rootGraph ?? app.graph)?.nodes ?? []) {
    const panel = panels.get(node);
    if (panel?.model.run && !known.has(panel.model.run)) {
      panel.model.lose();
      panel.draw();
    }
  }
}

/**
 * Whether the panel of a node is on the page; early versions of Nodes 2.0 leave out what a pack adds.
 * @param {GraphNode} node
 */
function showsPanel(node) {
  return panels.get(node)?.element.isConnected ?? false;
}

/** What the node drew while it ran would stand in the way of what shows it better. @param {string} id */
function dropLivePreview(id) {
  if (app.nodePreviewImages) delete app.nodePreviewImages[id];
  app.graph?.setDirtyCanvas(true, false);
}

function loadStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("../css/panel.css", import.meta.url).href;
  document.head.append(link);
}

app.registerExtension({
  name: "tbsd.optimizers",

  async setup() {
    loadStyle();
    api.addEventListener(STEP, ({ detail }) => panelOf(detail)?.follow(detail));
    api.addEventListener("reconnected", refresh);
    api.addEventListener("b_preview_with_metadata", ({ detail }) => {
      const node = findNode(detail.displayNodeId);
      if (node && showsPanel(node)) dropLivePreview(detail.displayNodeId); // the panel shows it
    });
    api.addEventListener("executed", ({ detail }) => {
      const id = detail.display_node ?? detail.node;
      const node = findNode(id);
      if (!node) return;
      if (PREVIEWING.has(node.comfyClass)) dropLivePreview(id);
      if (showsPanel(node) && app.nodeOutputs) delete app.nodeOutputs[id]; // the panel shows it; the queue keeps it
      const sheet = detail.output?.tbsd_orbit?.[0];
      if (sheet) orbits.get(node)?.show(sheet);
    });
    useTranslations(await fetchTranslations(), () => String(app.extensionManager.setting.get("Comfy.Locale")));
  },

  async afterConfigureGraph() {
    for (const node of (app.rootGraph ?? app.graph)?.nodes ?? []) {
      const sheet = app.nodeOutputs?.[String(node.id)]?.tbsd_orbit?.[0];
      if (sheet) orbits.get(node)?.show(sheet);
    }
    await refresh();
  },

  nodeCreated(node) {
    if (OPTIMIZERS.has(node.comfyClass)) {
      const panel = new Panel();
      panels.set(node, panel);
      node.addDOMWidget("tbsd_panel", "TBSD_PANEL", panel.element, {
        serialize: false,
        hideOnZoom: false, // pictures and curves are for looking at from afar, too
        getMinHeight: () => PANEL_HEIGHT,
      });
      panel.draw();
    }
    if (ORBITS.has(node.comfyClass)) {
      const orbit = new Orbit();
      orbits.set(node, orbit);
      node.addDOMWidget("tbsd_orbit", "TBSD_ORBIT", orbit.element, {
        serialize: false,
        hideOnZoom: false, // pictures and curves are for looking at from afar, too
        getMinHeight: () => ORBIT_HEIGHT,
      });
    }
  },
});
