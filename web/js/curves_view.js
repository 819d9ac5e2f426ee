// @ts-check
// Draws a group of curves on a canvas, with its legend beside it as text.

import { short, smoothed } from "./curves_model.js";
import { t } from "./texts.js";

const PAD = 4;
const COLORS = 6; // --tbsd-curve-1 ... in panel.css

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./curves_model.js").Group | undefined} group
 * @param {number} steps where the axis ends
 * @param {number | null} marked a step to mark with a line
 */
export function drawCurves(canvas, group, steps, marked) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(canvas);
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  const height = canvas.clientHeight || 90;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  if (!group) return;
  const x = (/** @type {number} */ step) => PAD + (step / Math.max(1, steps)) * (width - 2 * PAD);
  const { low, high } = group.series[0];
  if (group.shared) {
    context.strokeStyle = context.fillStyle = style.color;
    context.font = "9px sans-serif";
    context.globalAlpha = 0.7;
    context.fillText(short(high), PAD, PAD + 7);
    context.fillText(short(low), PAD, height - PAD);
    context.globalAlpha = 0.3;
    const zero = height - PAD - ((0 - low) / (high - low)) * (height - 2 * PAD);
    line(context, [[PAD, zero], [width - PAD, zero]]);
  }
  group.series.forEach((series, index) => {
    const y = (/** @type {number} */ value) =>
      height - PAD - ((value - series.low) / (series.high - series.low)) * (height - 2 * PAD);
    context.strokeStyle = style.getPropertyValue(`--tbsd-curve-${(index % COLORS) + 1}`);
    const pixels = (/** @type {[number, number][]} */ points) =>
      points.map(([step, value]) => /** @type {[number, number]} */ ([x(step), y(value)]));
    context.globalAlpha = 0.3;
    context.lineWidth = 1;
    line(context, pixels(series.points));
    context.globalAlpha = 1;
    context.lineWidth = 1.6;
    line(context, pixels(smoothed(series.points)));
  });
  if (marked !== null) {
    context.globalAlpha = 0.6;
    context.lineWidth = 1;
    context.strokeStyle = style.color;
    line(context, [[x(marked), 0], [x(marked), height]]);
  }
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number][]} points
 */
function line(context, points) {
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
}

/**
 * @param {HTMLElement} legend
 * @param {import("./curves_model.js").Group | undefined} group
 */
export function writeLegend(legend, group) {
  const entries = (group?.series ?? []).map((series, index) => {
    const entry = document.createElement("span");
    entry.style.setProperty("--tbsd-color", `var(--tbsd-curve-${(index % COLORS) + 1})`);
    entry.textContent = `${series.label} ${short(series.points[series.points.length - 1][1])}`;
    const [low, high] = [short(series.low), short(series.high)];
    entry.title = t("{name}: axis from {low} to {high}", { name: series.name, low, high });
    return entry;
  });
  legend.replaceChildren(...entries);
}
