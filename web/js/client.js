// @ts-check
// The routes of nodes/bridge/routes.py.

import { api } from "../../../scripts/api.js";
import { refusal } from "./server_texts.js";
import { t } from "./texts.js";

/** @returns {Promise<import("./events.js").RunSummary[]>} */
export async function listRuns() {
  return (await json("/tbsd/runs")).runs;
}

/** @param {string} run @returns {Promise<import("./events.js").RunState>} */
export function fetchRun(run) {
  return json(`/tbsd/runs/${run}`);
}

/** @param {string} run @param {number} step @param {boolean} final the result has an address of its own */
export function previewUrl(run, step, final) {
  return api.apiURL(`/tbsd/runs/${run}/previews/${step}${final ? "?final" : ""}`);
}

/** @returns {Promise<import("./events.js").Unfinished[]>} the newest first */
export async function listUnfinished() {
  return (await json("/tbsd/unfinished")).runs;
}

/** @returns {Promise<import("./events.js").SceneFile[]>} the newest first */
export async function listFiles() {
  return (await json("/tbsd/files")).files;
}

/** The newest picture of a run, also of an earlier server. @param {string} run */
export function thumbnailUrl(run) {
  return api.apiURL(`/tbsd/runs/${run}/thumbnail`);
}

/** Remove what is kept of a run that has ended. @param {string} run */
export function removeRun(run) {
  return json(`/tbsd/runs/${run}/remove`, "POST");
}

/** End the run after its present step. @param {string} run */
export function stopRun(run) {
  return json(`/tbsd/runs/${run}/stop`, "POST");
}

/** @param {string} run @returns {Promise<{file: string}>} the name in the output folder */
export function saveCheckpoint(run) {
  return json(`/tbsd/runs/${run}/checkpoint`, "POST");
}

/**
 * The panel's texts in every language that the pack has, from the translations that the host serves.
 * @returns {Promise<import("./texts.js").Translations>}
 */
export async function fetchTranslations() {
  const languages = Object.entries(await json("/i18n"));
  return Object.fromEntries(languages.map(([language, { tbsd = {} }]) => [language, tbsd]));
}

/** @param {string} path @param {string} method */
async function json(path, method = "GET") {
  const answer = await api.fetchApi(path, { method });
  if (!answer.ok) {
    const text = (await answer.text()).slice(0, 200);
    throw new Error(refusal(text) || t("The server answered {status}.", { status: answer.status }));
  }
  return answer.json();
}
