// @ts-check
// The curves of one run as plain data; no DOM here.

import { curveName } from "./server_texts.js";
import { t } from "./texts.js";

/** @typedef {[number, number]} Point step and value */
/** @typedef {{name: string, label: string, points: Point[], low: number, high: number}} Series */
/** @typedef {{id: string, title: string, shared: boolean, series: Series[]}} Group */

const MAX_POINTS = 800; // of a series; more than a node has pixels

/**
 * What belongs on one axis. `low` and `high` are where the axis begins and ends unless the values reach further;
 * a group without them gives each series an axis of its own, because their units differ.
 * @type {{id: string, title: () => string, has: (name: string) => boolean, low?: number, high?: number}[]}
 */
const GROUPS = [
  { id: "balance", title: () => t("Balance"), has: (name) => name.startsWith("lambda_"), low: 0, high: 1 },
  { id: "directions", title: () => t("Directions"), has: (name) => name.startsWith("norm_"), low: 0, high: 0 },
  { id: "cosine", title: () => t("Cosine"), has: (name) => name === "cosine", low: -1, high: 1 },
  { id: "schedule", title: () => t("t and lr"), has: (name) => name === "t" || name === "lr" },
  { id: "terms", title: () => t("Terms"), has: () => true }, // whatever else a method or a regulariser reports
];

export class CurvesModel {
  constructor() {
    /** @type {Map<string, Point[]>} */
    this.points = new Map();
    this.lastStep = 0;
  }

  /**
   * Take over what the server kept; points that came later stay.
   * @param {import("./events.js").StoredCurves} stored
   */
  load(stored) {
    const end = stored.steps[stored.steps.length - 1] ?? 0;
    const later = this.points;
    this.points = new Map();
    for (const [name, values] of Object.entries(stored.series)) {
      values.forEach((value, index) => this.#add(name, stored.steps[index], value));
    }
    for (const [name, points] of later) {
      for (const [step, value] of points) if (step > end) this.#add(name, step, value);
    }
    this.lastStep = Math.max(this.lastStep, end);
  }

  /**
   * @param {number} step
   * @param {Record<string, number>} scalars
   */
  add(step, scalars) {
    if (step <= this.lastStep) return;
    this.lastStep = step;
    for (const [name, value] of Object.entries(scalars)) this.#add(name, step, value);
  }

  /**
   * @param {string} name
   * @param {number} step
   * @param {number | null} value
   */
  #add(name, step, value) {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    const points = this.points.get(name) ?? [];
    points.push([step, value]);
    this.points.set(name, points.length > MAX_POINTS ? points.filter((_, index) => index % 2 === 0) : points);
  }

  /** @returns {Group[]} those that have anything to show */
  groups() {
    const names = [...this.points.keys()].filter((name) => !this.#isConstantOpacity(name));
    const taken = new Set();
    /** @type {Group[]} */
    const groups = [];
    for (const { id, title, has, low, high } of GROUPS) {
      const own = names.filter((name) => !taken.has(name) && has(name));
      own.forEach((name) => taken.add(name));
      if (!own.length) continue;
      const shared = low !== undefined && high !== undefined;
      const series = own.map((name) => this.#series(name));
      if (shared) {
        const least = Math.min(low, ...series.map((s) => s.low));
        const most = Math.max(high, ...series.map((s) => s.high));
        for (const s of series) [s.low, s.high] = [least, most];
      }
      for (const s of series) if (!(s.high > s.low)) [s.low, s.high] = [Math.min(0, s.low), s.low > 0 ? 2 * s.low : 1];
      groups.push({ id, title: title(), shared, series });
    }
    return groups;
  }

  /** Pictures are opaque, which is no news. @param {string} name */
  #isConstantOpacity(name) {
    return name === "opacity" && (this.points.get(name) ?? []).every(([, value]) => value === 1);
  }

  /** @param {string} name @returns {Series} */
  #series(name) {
    const points = this.points.get(name) ?? [];
    const values = points.map(([, value]) => value);
    return { name, label: label(name), points, low: Math.min(...values), high: Math.max(...values) };
  }
}

/** @param {string} name as the method reports it */
export function label(name) {
  const words = name.replace(/^norm_/, "").replace(/^loss_/, "").replaceAll("_", " ");
  return curveName(words.replace("lambda", "λ").replace("delta", "δ"));
}

/**
 * A moving average over a part of the points, to see the course of what is drawn anew in each step.
 * @param {Point[]} points
 * @returns {Point[]}
 */
export function smoothed(points, share = 0.06) {
  const reach = Math.floor((points.length * share) / 2);
  return points.map(([step], index) => {
    const near = points.slice(Math.max(0, index - reach), index + reach + 1);
    return [step, near.reduce((sum, [, value]) => sum + value, 0) / near.length];
  });
}

/** Three digits, short enough for a legend. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 10000)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}
