// @ts-check
// Runs that can be continued, and which of them a panel offers; no DOM here.

import { currentLanguage, t } from "./texts.js";

/** @typedef {import("./events.js").Unfinished} Unfinished */

/**
 * The newest run that the open graph can continue at a node: all nodes that it came from are there.
 * @param {Unfinished[]} runs the newest first
 * @param {string} node the execution id of the optimizer
 * @param {(id: string) => string | undefined} classOf the class of a node of the open graph
 */
export function offered(runs, node, classOf) {
  const fits = (/** @type {Unfinished} */ run) =>
    run.node === node && Object.entries(run.nodes).every(([id, name]) => classOf(id) === name);
  return runs.find(fits) ?? null;
}

/**
 * Panels that stand for one optimizer. A subgraph that is in the graph twice has one panel inside for both: what that
 * would offer is told by those outside.
 * @template P
 * @param {[string, P][]} open panels by execution id
 */
export function unambiguous(open) {
  return open.filter(([id, panel]) => open.every(([other, each]) => each !== panel || other === id));
}

/**
 * What panels offer, by node.
 * @param {[string, {offer: Unfinished | null}][]} open panels by execution id
 * @returns {Map<string, Unfinished>}
 */
export function offersOf(open) {
  return new Map(unambiguous(open).flatMap(([id, { offer }]) => (offer?.node === id ? [[id, offer]] : [])));
}

/**
 * The runs to go on with when one is continued: also those that other nodes had in the same queued graph, so that a
 * stage that is done is not done again for the one after it.
 * @param {Map<string, Unfinished>} offers of other panels, by node
 * @param {string} node
 * @param {Unfinished} chosen
 * @returns {Map<string, string>} runs by node
 */
export function together(offers, node, { run, prompt }) {
  const others = [...offers].filter(([, other]) => prompt && other.prompt === prompt);
  return new Map([...others.map(([id, other]) => /** @type {[string, string]} */ ([id, other.run])), [node, run]]);
}

/** @param {Unfinished} run */
export function describe({ status, step, steps, at }) {
  const values = { step, steps, date: date(at) };
  if (step >= steps) return t("All {steps} steps are done, but the rest of the graph is not ({date})", values);
  if (status === "stopped") return t("Stopped at step {step} of {steps} ({date})", values);
  return t("Unfinished run, step {step} of {steps} ({date})", values);
}

/** A moment as "26 Nov, 14:30". @param {number} at seconds since 1970 */
export function date(at) {
  const language = currentLanguage() === "en" ? "en-GB" : currentLanguage();
  const form = /** @type {const} */ ({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  return new Date(at * 1000).toLocaleString(language, { ...form, hour12: false });
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["KiB", "MiB", "GiB"];
  let amount = bytes / 1024;
  while (amount >= 1024 && units.length > 1) {
    amount /= 1024;
    units.shift();
  }
  return `${amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${units[0]}`;
}

/**
 * One line about a file that can be loaded: what is not known of it is left out.
 * @param {import("./events.js").SceneFile} file
 */
export function details({ at, method, scene, step, steps, bytes }) {
  const place = step === null ? "" : steps === null ? t("step {step}", { step }) : t("step {step} of {steps}", { step, steps });
  return [date(at), method, scene, place, size(bytes)].filter(Boolean).join(" · ");
}
