// @ts-check
// Texts that the server sends as they are, in the user's language; others stay English.

import { t } from "./texts.js";

/** @type {Record<string, () => string>} by what curves_model.js makes of a curve's name */
const CURVES = {
  "λ shape": () => t("λ shape"),
  "λ texture": () => t("λ texture"),
  "λ classifier": () => t("λ classifier"),
  residual: () => t("residual"),
  anchor: () => t("anchor"),
  cosine: () => t("cosine"),
  lr: () => t("lr"),
  "grad rms": () => t("grad rms"),
  opacity: () => t("opacity"),
  sparsity: () => t("sparsity"),
  tv: () => t("tv"),
  lora: () => t("lora"),
};

/** @type {Record<string, () => string>} by what nodes/bridge/routes.py refuses with */
const REFUSALS = {
  "No such run. The server remembers only the latest runs.": () => t("No such run. The server remembers only the latest runs."),
  "No such run in this output folder.": () => t("No such run in this output folder."),
  "The run or its graph is still running. Stop it first.": () => t("The run or its graph is still running. Stop it first."),
  "The checkpoint could not be written; the log says why.": () => t("The checkpoint could not be written; the log says why."),
};

/** @param {string} english the label of a curve */
export function curveName(english) {
  return CURVES[english]?.() ?? english;
}

/** @param {string} english */
export function refusal(english) {
  return REFUSALS[english]?.() ?? english;
}
