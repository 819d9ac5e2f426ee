// @ts-check
// The live panel of the optimizer nodes and the orbit view of Render Views.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { OPTIMIZERS, nameGraph, ofThisTab, watchQueue } from "./binding.js";
import { fetchTranslations } from "./client.js";
import { STEP } from "./events.js";
import { findNode } from "./nodes.js";
import { Orbit, ORBIT_HEIGHT } from "./orbit_view.js";
import { PANEL_HEIGHT } from "./panel_view.js";
import * as panels from "./panels.js";
import { openPicker } from "./picker_view.js";
import { SETTINGS } from "./settings.js";
import { t, useTranslations } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

const ORBITS = new Set(["TBSD_RenderViews"]);
const PREVIEWING = new Set([
  ...OPTIMIZERS,
  "TBSD_InspectDirections",
  "TBSD_OverTime",
  "TBSD_SeedsGrid",
  "TBSD_SweepShape",
  "TBSD_ObjectivePath",
]);

/** @type {WeakMap<GraphNode, Orbit>} */
const orbits = new WeakMap();

/**
 * Whether the panel of a node is on the page; early versions of Nodes 2.0 leave out what a pack adds.
 * @param {GraphNode} node
 */
function showsPanel(node) {
  return panels.panelOf(node)?.element.isConnected ?? false;
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
  settings: SETTINGS,

  async setup() {
    loadStyle();
    watchQueue(panels.onQueued);
    api.addEventListener(STEP, ofThisTab(panels.followRun));
    api.addEventListener("execution_start", ofThisTab(panels.onStart));
    api.addEventListener("execution_cached", ofThisTab(panels.onCached));
    api.addEventListener("progress_state", ofThisTab(panels.onProgress));
    for (const end of /** @type {const} */ (["execution_success", "execution_error", "execution_interrupted"])) {
      api.addEventListener(end, ofThisTab(panels.onEnd));
    }
    api.addEventListener("status", ({ detail }) => detail?.exec_info?.queue_remaining === 0 && panels.onQueueEmpty());
    api.addEventListener("reconnected", panels.refresh);
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

  afterConfigureGraph() {
    nameGraph();
    for (const node of (app.rootGraph ?? app.graph)?.nodes ?? []) {
      const sheet = app.nodeOutputs?.[String(node.id)]?.tbsd_orbit?.[0];
      if (sheet) orbits.get(node)?.show(sheet);
    }
    void panels.refresh(); // the host waits for this hook before it says which graph is open
  },

  nodeCreated(node) {
    if (OPTIMIZERS.has(node.comfyClass)) {
      const panel = panels.addPanel(node);
      node.addDOMWidget("tbsd_panel", "TBSD_PANEL", panel.element, {
        serialize: false,
        hideOnZoom: false, // pictures and curves are for looking at from afar, too
        getMinHeight: () => PANEL_HEIGHT,
      });
      panel.draw();
    }
    if (node.comfyClass === "TBSD_LoadScene") {
      const choose = () =>
        openPicker((file) => {
          const widget = node.widgets?.find(({ name }) => name === "scene_file");
          if (widget) widget.value = file;
          app.graph?.setDirtyCanvas(true, true);
        });
      const control = node.addWidget("button", "tbsd_choose", null, choose, { serialize: false });
      control.label = t("Choose...");
      control.serialize = false;
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
