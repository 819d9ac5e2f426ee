import assert from "node:assert/strict";
import { test } from "node:test";

import { CurvesModel, label, short, smoothed } from "../../../web/js/curves_model.js";

function filled(steps, scalars) {
  const model = new CurvesModel();
  for (let step = 1; step <= steps; step++) model.add(step, scalars(step));
  return model;
}

test("what belongs together shares an axis, what differs in unit does not", () => {
  const model = filled(3, (step) => ({
    lambda_shape: 0.8,
    lambda_texture: 1.5,
    norm_delta_cls: step,
    cosine: -0.2,
    t: 0.5,
    lr: 0.01,
    grad_rms: 7,
    loss_tv: 1e-4,
    opacity: 1,
  }));
  const groups = Object.fromEntries(model.groups().map((group) => [group.id, group]));
  assert.deepEqual(Object.keys(groups), ["balance", "directions", "cosine", "schedule", "terms"]);
  for (const s of groups.balance.series) assert.deepEqual([s.low, s.high], [0, 1.5]);
  assert.deepEqual([groups.cosine.series[0].low, groups.cosine.series[0].high], [-1, 1]);
  assert.deepEqual([groups.directions.series[0].low, groups.directions.series[0].high], [0, 3]);
  assert.deepEqual(groups.terms.series.map((s) => s.name), ["grad_rms", "loss_tv"]);
  assert.equal(groups.schedule.shared, false);
  for (const group of Object.values(groups)) for (const s of group.series) assert.ok(s.high > s.low);
});

test("a method without a balance has no tab for it, and an opacity that moves is shown", () => {
  const model = filled(2, (step) => ({ norm_residual: 1, opacity: step / 10 }));
  assert.deepEqual(model.groups().map((group) => group.id), ["directions", "terms"]);
  assert.deepEqual(new CurvesModel().groups(), []);
});

test("values that are not finite, and steps that come twice, leave no point", () => {
  const model = new CurvesModel();
  model.add(1, { cosine: NaN, t: 0.5 });
  model.add(2, { cosine: Infinity, t: 0.4 });
  model.add(2, { t: 9 });
  assert.deepEqual([...model.points], [["t", [[1, 0.5], [2, 0.4]]]]);
});

test("a series stays small and keeps its ends", () => {
  const model = filled(10000, (step) => ({ t: step }));
  const points = model.points.get("t");
  assert.ok(points.length <= 800 && points.length > 300);
  assert.equal(points[0][0], 1);
  assert.equal(points[points.length - 1][0], 10000);
});

test("what the server kept goes before what came since", () => {
  const model = new CurvesModel();
  model.add(5, { t: 0.5 });
  model.add(6, { t: 0.6 });
  model.load({ steps: [1, 3, 5], series: { t: [0.1, 0.3, 0.5], cosine: [null, 0.2, null] } });
  assert.deepEqual(model.points.get("t"), [[1, 0.1], [3, 0.3], [5, 0.5], [6, 0.6]]);
  assert.deepEqual(model.points.get("cosine"), [[3, 0.2]]);
  model.add(7, { t: 0.7 });
  assert.equal(model.points.get("t").length, 5);
});

test("smoothing keeps a constant and damps what alternates", () => {
  const constant = Array.from({ length: 100 }, (_, i) => [i, 3]);
  assert.ok(smoothed(constant).every(([, value]) => Math.abs(value - 3) < 1e-12));
  const noisy = Array.from({ length: 100 }, (_, i) => [i, i % 2]);
  assert.ok(smoothed(noisy).slice(10, 90).every(([, value]) => Math.abs(value - 0.5) < 0.1));
  assert.deepEqual(smoothed([]), []);
});

test("numbers and names are short", () => {
  assert.deepEqual([0, 0.02, 123.456, 1e-7, -0.5, 54321].map(short), ["0", "0.02", "123", "1.0e-7", "-0.5", "5.4e+4"]);
  assert.deepEqual(["lambda_shape", "norm_delta_cls", "loss_tv"].map(label), ["λ shape", "δ cls", "tv"]);
});
