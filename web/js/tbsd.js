// @ts-check
// The pack's one extension: live curves in the optimizer nodes, and their result in place of the last preview.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { CurvesModel } from "./curves_model.js";
import { drawCurves } from "./curves_view.js";
import { STEP } from "./events.js";

const OPTIMIZERS = new Set(["TBSD_OptimizeImage", "TBSD_Optimizer3D"]);
const PREVIEWING = new Set([
  ...OPTIMIZERS,
  "TBSD_InspectDirections",
  "TBSD_OverTime",
  "TBSD_SeedsGrid",
  "TBSD_SweepShape",
  "TBSD_ObjectivePath",
]);
const CURVES_HEIGHT = 80;

/** @type {Map<string, {model: CurvesModel, canvas: HTMLCanvasElement}>} by node id */
const curves = new Map();

function isPreviewing(id) {
  return PREVIEWING.has(app.graph?.getNodeById(Number(id))?.comfyClass);
}

app.registerExtension({
  name: "tbsd.optimizers",

  setup() {
    api.addEventListener(STEP, (/** @type {CustomEvent} */ event) => {
      const shown = curves.get(String(event.detail.node));
      if (!shown) return;
      shown.model.add(event.detail);
      drawCurves(shown.canvas, shown.model);
    });
    api.addEventListener("executed", (/** @type {CustomEvent} */ event) => {
      // a live preview hides what the node shows when it is done
      const id = event.detail.display_node ?? event.detail.node;
      if (!isPreviewing(id) || !app.nodePreviewImages) return;
      delete app.nodePreviewImages[id];
      app.graph.setDirtyCanvas(true, false);
    });
  },

  nodeCreated(node) {
    if (!OPTIMIZERS.has(node.comfyClass)) return;
    const canvas = document.createElement("canvas");
    canvas.style.width = "100%";
    node.addDOMWidget("tbsd_curves", "TBSD_CURVES", canvas, {
      serialize: false,
      getMinHeight: () => CURVES_HEIGHT,
      getMaxHeight: () => CURVES_HEIGHT,
    });
    const shown = { model: new CurvesModel(), canvas };
    // the id is assigned when the node joins the graph, and again when a workflow is loaded
    const register = () => curves.set(String(node.id), shown);
    const onAdded = node.onAdded;
    node.onAdded = function (...values) {
      register();
      return onAdded?.apply(this, values);
    };
    const onConfigure = node.onConfigure;
    node.onConfigure = function (...values) {
      register();
      return onConfigure?.apply(this, values);
    };
    const onRemoved = node.onRemoved;
    node.onRemoved = function (...values) {
      if (curves.get(String(node.id)) === shown) curves.delete(String(node.id));
      return onRemoved?.apply(this, values);
    };
  },
});
