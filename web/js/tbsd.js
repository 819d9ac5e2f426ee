// @ts-check
// The live panel of the optimizer nodes and the orbit view of Render Views.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { OPTIMIZERS, isBound, nameGraph, noteError, ofThisTab, watchQueue } from "./binding.js";
import { fetchTranslations } from "./client.js";
import { STEP } from "./events.js";
import { findNode, rootGraph } from "./nodes.js";
import { optimizersInside, subgraphNodes } from "./outside.js";
import { Orbit, ORBIT_HEIGHT } from "./orbit_view.js";
import { PANEL_HEIGHT } from "./panel_view.js";
import * as panels from "./panels.js";
import { openPicker } from "./picker_view.js";
import { dropLivePreview, leaveToPanel } from "./pictures.js";
import { SETTINGS } from "./settings.js";
import { t, useTranslations } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

const ORBITS = new Set(["TBSD_RenderViews"]);

/** @type {WeakMap<GraphNode, Orbit>} */
const orbits = new WeakMap();

/** @param {GraphNode | null} node @param {import("../../../scripts/app.js").Output | undefined} output */
function showOrbit(node, output) {
  const sheet = output?.tbsd_orbit?.[0];
  if (node && sheet) orbits.get(node)?.show(sheet);
}

/** @param {GraphNode} node @param {string} path of the optimizer in it, if it is a subgraph's */
function showPanel(node, path = "") {
  const panel = panels.addPanel(node, path);
  node.addDOMWidget(path ? `tbsd_panel_${path}` : "tbsd_panel", "TBSD_PANEL", panel.element, {
    serialize: false,
    hideOnZoom: false, // pictures and curves are for looking at from afar, too
    getMinHeight: () => PANEL_HEIGHT,
  }).serialize = false;
  leaveToPanel(node); // also on a subgraph's node, where older hosts draw the picture of the run
  panel.draw();
}

/** @param {GraphNode} node of a subgraph, as of a blueprint */
function showPanelsOutside(node) {
  const missing = [...optimizersInside(node)].filter((path) => !panels.hasPanel(node, path));
  for (const path of missing) showPanel(node, path);
  if (missing.length) node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
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
    api.addEventListener("execution_error", ({ detail }) => noteError(detail));
    api.addEventListener("status", ({ detail }) => detail?.exec_info?.queue_remaining === 0 && panels.onQueueEmpty());
    api.addEventListener("reconnected", panels.refresh);
    const show = ofThisTab((/** @type {import("../../../scripts/api.js").Executed} */ detail) => {
      const node = isBound(detail.prompt_id) ? findNode(detail.display_node ?? detail.node) : null;
      if (node?.comfyClass?.startsWith("TBSD_")) dropLivePreview(node);
      showOrbit(node, detail.output);
    });
    api.addEventListener("executed", show); // of another graph it is shown when that is opened again
    document.addEventListener("visibilitychange", panels.drawAll); // hidden pages ask for no pictures
    useTranslations(await fetchTranslations(), () => String(app.extensionManager.setting.get("Comfy.Locale")));
  },

  afterConfigureGraph() {
    nameGraph();
    for (const node of subgraphNodes(rootGraph())) showPanelsOutside(node);
    void panels.refresh(); // the host waits for this hook before it says which graph is open
  },

  /** The host has brought back what a graph showed before. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) showOrbit(findNode(id), output);
  },

  nodeCreated(node) {
    if (OPTIMIZERS.has(node.comfyClass)) {
      showPanel(node);
    }
    if (node.subgraph) queueMicrotask(() => showPanelsOutside(node)); // when its own widgets have their values
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
      }).serialize = false; // the option keeps it out of what is queued, this out of what is saved
    }
  },
});
