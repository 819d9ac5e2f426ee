// @ts-check
// The curves of one run as plain data; no DOM here.

/** @typedef {{name: string, points: [number, number][], low: number, high: number}} Series */

const SHOWN = ["lambda_shape", "lambda_texture", "cosine", "grad_rms", "opacity"];
const MAX_SERIES = 4;

export class CurvesModel {
  constructor() {
    this.reset();
  }

  reset() {
    this.steps = 1;
    this.lastStep = 0;
    /** @type {Map<string, [number, number][]>} */
    this.points = new Map();
  }

  /** @param {import("./events.js").StepEvent} event */
  add(event) {
    if (event.step <= this.lastStep) this.reset();
    this.lastStep = event.step;
    this.steps = event.steps;
    for (const name of SHOWN) {
      const value = event.scalars[name];
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      if (!this.points.has(name)) this.points.set(name, []);
      this.points.get(name)?.push([event.step, value]);
    }
  }

  /** @returns {Series[]} each with its own range, because the curves have different units */
  series() {
    const moving = [...this.points].filter(([name, points]) => name !== "opacity" || points.some((p) => p[1] !== 1));
    return moving.slice(0, MAX_SERIES).map(([name, points]) => {
      const values = points.map((p) => p[1]);
      const isShare = name.startsWith("lambda") || name === "opacity";
      const low = isShare ? 0 : Math.min(...values);
      const high = isShare ? Math.max(1, ...values) : Math.max(...values);
      return { name, points, low, high: high > low ? high : low + 1 };
    });
  }
}
