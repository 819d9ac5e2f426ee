import assert from "node:assert/strict";
import { test } from "node:test";

import { RunModel, duration } from "../../../web/js/run_model.js";

function event(step, more = {}) {
  return {
    run: "a",
    node: "6",
    prompt: "p",
    status: "running",
    step,
    steps: 100,
    elapsed: step,
    remaining: 100 - step,
    scalars: { t: 0.5 },
    preview: step,
    final: false,
    previews: [1, 5, 9].filter((kept) => kept <= step),
    saved: [],
    warnings: [],
    error: "",
    resumed: 0,
    phase: "",
    plan: "",
    kept: false,
    ...more,
  };
}

test("a run that is not known asks for its earlier steps, once", () => {
  const model = new RunModel();
  assert.equal(model.follow(event(7)), true);
  assert.equal(model.follow(event(8)), false);
  assert.equal(model.headline, "Step 8 / 100");
  assert.equal(model.clock, "0:08, 1:32 left");
  assert.equal(model.follow(event(0, { run: "b", phase: "Loading models" })), true);
  assert.equal(model.follow(event(9, { run: "b", resumed: 9 })), true, "it goes on with a run that had nine");
  assert.equal(model.follow(event(10, { run: "b", resumed: 9 })), false);
  assert.equal(model.curves.points.get("t").length, 2);
});

test("an older state neither turns back the step nor loses points", () => {
  const model = new RunModel();
  model.follow(event(20));
  const curves = { steps: [1, 10], series: { t: [0.1, 0.2] } };
  model.load({ ...event(10), curves });
  assert.equal(model.step, 20);
  assert.deepEqual(model.curves.points.get("t").map(([step]) => step), [1, 10, 20]);
});

test("messages that come late do not bring an ended run back", () => {
  const model = new RunModel();
  model.follow(event(20, { status: "stopped", remaining: null }));
  model.follow(event(20));
  assert.equal(model.headline, "Stopped and kept, step 20 / 100");
  assert.equal(model.clock, "0:20");
  assert.ok(model.ended);
});

test("the scrubber looks back, survives thinning, and its right end follows the run", () => {
  const model = new RunModel();
  model.look(0);
  assert.equal(model.shown, null);
  model.follow(event(12));
  assert.deepEqual(model.stops, [1, 5, 9, 12]);
  assert.equal(model.position, 3);
  assert.equal(model.shown, 12);
  model.look(1);
  assert.deepEqual([model.shown, model.position], [5, 1]);
  model.follow(event(13));
  assert.equal(model.shown, 5);
  model.follow(event(14, { previews: [1, 9] }));
  assert.equal(model.shown, 1, "5 is as far from 1 as from 9; either is kept");
  model.look(model.stops.length - 1);
  model.follow(event(15));
  assert.equal(model.shown, 15);
});

test("a server that was started anew has lost the run", () => {
  const model = new RunModel();
  model.lose();
  assert.equal(model.status, "idle");
  model.follow(event(3));
  model.lose();
  assert.match(model.headline, /forgotten/);
});

test("a failure says why", () => {
  const model = new RunModel();
  model.follow(event(3, { status: "failed", error: "ValueError: x" }));
  assert.equal(model.headline, "Failed at step 3 / 100 (ValueError: x)");
});

test("durations read as clocks", () => {
  assert.deepEqual([0, 7.4, 754, 7500, -3].map(duration), ["0:00", "0:07", "12:34", "2:05:00", "0:00"]);
});

test("the axis grows with a long run and ends with a short one", () => {
  const model = new RunModel();
  const axisAt = (step, more) => {
    model.follow(event(step, { steps: 800, ...more }));
    return model.axis;
  };
  assert.deepEqual([1, 20, 26, 60, 401, 800].map((step) => axisAt(step)), [25, 25, 50, 100, 800, 800]);
  model.follow(event(1, { run: "b" }));
  assert.equal(axisAt(30, { run: "b", status: "stopped" }), 30);
});

test("while its graph is elsewhere a panel says what it waits for, and its clock goes", () => {
  const model = new RunModel();
  model.await("p", "Waiting for: Load Checkpoint");
  model.tick(7);
  model.await("p", "Waiting for: CLIP Text Encode");
  assert.deepEqual([model.headline, model.clock, model.status], ["Waiting for: CLIP Text Encode", "0:07", "idle"]);
  model.follow(event(0, { elapsed: 0, remaining: null, phase: "Loading models" }));
  model.tick(3);
  assert.deepEqual([model.headline, model.clock], ["Loading models", "0:03"]);
  model.await("p", "Waiting for: Save Image");
  model.follow(event(4, { status: "done", phase: "", remaining: null }));
  model.await("p", "Waiting for: Save Image");
  assert.equal(model.headline, "Done, step 4 / 100", "the run of that graph is over");
  model.await("q", "Queued");
  assert.equal(model.headline, "Queued");
  model.settle();
  assert.equal(model.headline, "Done, step 4 / 100");
});

test("a phase between steps does not hide how far the run is; one that is new is shown as it is", () => {
  const model = new RunModel();
  model.follow(event(8, { phase: "Rendering the result" }));
  model.tick(2);
  assert.deepEqual([model.headline, model.clock], ["Step 8 / 100: Rendering the result", "0:10, 1:30 left"]);
  model.follow(event(100, { phase: "Counting sheep" }));
  assert.equal(model.headline, "Step 100 / 100: Counting sheep");
});

test("a result that was used again is told, until there is a new run", () => {
  const model = new RunModel();
  model.follow(event(20, { status: "stopped" }));
  model.reuse("q");
  assert.match(model.notice, /^Nothing has changed .* Continue does the remaining steps\.$/);
  model.await("q", "Waiting for: Save Image");
  assert.equal(model.headline, "Stopped and kept, step 20 / 100");
  model.load({ ...event(20, { status: "stopped" }), curves: { steps: [], series: {} } }); // the connection was lost for a moment
  model.await("q", "Waiting for: Save Image");
  assert.match(model.notice, /^Nothing has changed/);
  model.follow(event(21, { run: "b", prompt: "r" }));
  assert.equal(model.notice, "");
});

test("the end of an earlier run does not take the place of the one that goes on", () => {
  const model = new RunModel();
  model.follow(event(20, { run: "a" }));
  model.follow(event(3, { run: "b" }));
  assert.equal(model.follow(event(20, { run: "a", status: "stopped" })), false);
  assert.equal(model.run, "b");
});

test("a run that is done leaves no room for another one, but for itself where the graph after it failed", () => {
  const model = new RunModel();
  assert.ok(model.mayOffer("a"));
  model.follow(event(3));
  assert.ok(!model.mayOffer("a"));
  model.follow(event(100, { status: "done" }));
  assert.deepEqual([model.mayOffer("a"), model.mayOffer("b")], [true, false]);
});

test("the last message of the graph before takes nothing from the one that is waited for", () => {
  const model = new RunModel();
  const end = { status: "done", remaining: null };
  model.follow(event(20, end));
  model.await("q", "Waiting for: Load Checkpoint");
  model.tick(7);
  model.follow(event(20, { ...end, kept: true }));
  assert.deepEqual([model.headline, model.clock], ["Waiting for: Load Checkpoint", "0:07"]);
  assert.ok(!model.mayOffer("a"));
  model.load({ ...event(3, { ...end, run: "b", prompt: "q" }), curves: { steps: [], series: {} } });
  assert.equal(model.headline, "Done, step 3 / 100", "the connection was lost while it ran");
});
