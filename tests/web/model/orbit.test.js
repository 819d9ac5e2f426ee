import assert from "node:assert/strict";
import { test } from "node:test";

import { OrbitModel } from "../../../web/js/orbit_model.js";

test("dragging to the right turns against the camera, and a full turn comes back", () => {
  const model = new OrbitModel(3, 8);
  assert.equal(model.frame, 0);
  model.drag(300 / 8);
  assert.equal(model.frame, 7);
  for (let i = 0; i < 7; i++) model.drag(300 / 8);
  assert.equal(model.frame, 0);
  model.drag(-3000);
  assert.equal(model.frame, 0);
});

test("slow dragging adds up", () => {
  const model = new OrbitModel(3, 8);
  for (let i = 0; i < 75; i++) model.drag(-1);
  assert.equal(model.frame, 2);
  assert.equal(model.degrees, 90);
});

test("frames are found in their row and column", () => {
  const model = new OrbitModel(3, 8);
  const places = [];
  for (let i = 0; i < 8; i++) {
    places.push([model.place.x, model.place.y]);
    model.advance(1);
  }
  const rows = [0, 50, 100].flatMap((y) => [0, 50, 100].map((x) => [x, y]));
  assert.deepEqual(places, rows.slice(0, 8));
  assert.deepEqual(new OrbitModel(1, 1).place, { x: 0, y: 0 });
});
