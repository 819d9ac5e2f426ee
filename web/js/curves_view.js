// @ts-check
// Draws the curves of a run on a small canvas.

const COLORS = ["#6cb6ff", "#ffa657", "#7ee787", "#d2a8ff"];
const PAD = 4;
const LEGEND = 14;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./curves_model.js").CurvesModel} model
 */
export function drawCurves(canvas, model) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  const height = canvas.clientHeight || 80;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  context.font = "10px sans-serif";
  let left = PAD;
  model.series().forEach((series, index) => {
    context.strokeStyle = context.fillStyle = COLORS[index];
    context.beginPath();
    for (const [step, value] of series.points) {
      const x = PAD + (step / model.steps) * (width - 2 * PAD);
      const y = height - PAD - ((value - series.low) / (series.high - series.low)) * (height - 2 * PAD - LEGEND);
      context.lineTo(x, y);
    }
    context.stroke();
    const last = series.points[series.points.length - 1][1];
    const label = `${series.name.replaceAll("_", " ")} ${last.toPrecision(2)}`;
    context.fillText(label, left, LEGEND - PAD);
    left += context.measureText(label).width + 10;
  });
}
