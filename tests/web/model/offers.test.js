import assert from "node:assert/strict";
import { test } from "node:test";

import { describe, details, offered, offersOf, size, together, unambiguous } from "../../../web/js/offers_model.js";

const nodes = { 6: "TBSD_Optimizer3D", "3:5": "TBSD_Guidance" };
const kept = { run: "20261126-143000-0123abcd", node: "6", step: 215, steps: 600, at: 1795703400, status: "crashed", nodes };

test("the newest run is offered whose nodes are all in the graph", () => {
  const graph = { 6: "TBSD_Optimizer3D", "3:5": "TBSD_Guidance", 9: "SaveImage" };
  const classOf = (id) => graph[id];
  const other = { ...kept, run: "other", nodes: { ...nodes, 4: "TBSD_HashScene" } };
  const elsewhere = { ...kept, run: "elsewhere", node: "8" };
  const older = { ...kept, run: "20250101-000000-00000000" };
  assert.equal(offered([other, elsewhere, kept, older], "6", classOf), kept);
  assert.equal(offered([kept], "6", () => undefined), null);
  assert.equal(offered([{ ...kept, nodes: { 6: "TBSD_OptimizeImage" } }], "6", classOf), null);
});

test("an offer says how far the run is and why it ended", () => {
  assert.match(describe(kept), /^Unfinished run, step 215 of 600 \(2\d Nov, \d\d:\d\d\)$/);
  assert.match(describe({ ...kept, status: "stopped" }), /^Stopped at step 215 of 600 \(/);
  assert.match(describe({ ...kept, step: 600, status: "done" }), /^All 600 steps are done, but the rest/);
});

test("a file is described by what is known of it", () => {
  assert.deepEqual([512, 10_000, 3_500_000, 5 * 2 ** 31].map(size), ["0.5 KiB", "9.8 KiB", "3.3 MiB", "10 GiB"]);
  const file = { at: 1795703400, method: "tbsd", scene: "nerf", step: 5, steps: 9, bytes: 2 ** 20 };
  assert.match(details(file), / · tbsd · nerf · step 5 of 9 · 1\.0 MiB$/);
  const bare = { ...file, method: "", step: null, steps: null };
  assert.match(details(bare), /\d\d:\d\d · nerf · 1\.0 MiB$/);
});

test("stages of one queued graph are continued together", () => {
  const [nerf, mesh, older] = ["nerf", "mesh", "older"].map((run) => ({ ...kept, run, prompt: run === "older" ? "p1" : "p2" }));
  const offers = new Map([["6", nerf], ["12", older]]);
  assert.deepEqual([...together(offers, "9", mesh)], [["6", "nerf"], ["9", "mesh"]]);
  assert.deepEqual([...together(new Map([["6", nerf]]), "12", older)], [["12", "older"]]);
  const alone = new Map([["6", { ...nerf, prompt: null }]]);
  assert.deepEqual([...together(alone, "9", { ...mesh, prompt: null })], [["9", "mesh"]], "nothing tells graphs apart");
});

test("a panel inside a subgraph that is there twice offers nothing", () => {
  const [three, four] = ["3:7", "4:7"].map((node) => ({ offer: { ...kept, node, run: node } }));
  const inside = { offer: four.offer };
  const open = [["3:7", three], ["3:7", inside], ["4:7", four], ["4:7", inside]];
  assert.deepEqual(unambiguous(open), [["3:7", three], ["4:7", four]]);
  assert.deepEqual([...offersOf(open)].map(([id, { run }]) => [id, run]), [["3:7", "3:7"], ["4:7", "4:7"]]);
  assert.equal(unambiguous(open.slice(0, 2)).length, 2, "once, it stands for one node");
  assert.equal(offersOf([["5:7", three]]).size, 0, "it was offered to another node");
});
