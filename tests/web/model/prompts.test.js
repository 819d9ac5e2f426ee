import assert from "node:assert/strict";
import { test } from "node:test";

import { Prompts, isFrom, madeOf } from "../../../web/js/prompts_model.js";

class MemoryStorage {
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
}

const origin = { graph: "g", path: "workflows/a.json", nodes: ["6"] };

test("what was queued is known after a reload, and only so much of it", () => {
  const storage = new MemoryStorage();
  const before = new Prompts(storage);
  for (let i = 0; i < 2100; i += 1) before.note(`p${i}`, origin);
  const after = new Prompts(storage);
  assert.deepEqual(after.of("p2099"), origin);
  assert.deepEqual([after.of("p0"), after.of(null), after.origins.size], [undefined, undefined, 2000]);
});

test("a storage that is full or damaged loses the reload, not the binding", () => {
  const full = {
    getItem: () => "{",
    setItem() {
      throw new Error("quota");
    },
  };
  const prompts = new Prompts(full);
  prompts.note("p", origin);
  assert.deepEqual(prompts.of("p"), origin);
});

test("a prompt belongs to the graph with its id, whatever name that has been saved under", () => {
  assert.ok(isFrom(origin, { graph: "g", path: "workflows/a.json", others: [] }));
  assert.ok(isFrom(origin, { graph: "g", path: "workflows/renamed.json", others: ["workflows/b.json"] }));
  assert.ok(!isFrom(origin, { graph: "h", path: "workflows/a.json", others: [] }));
  assert.ok(!isFrom(origin, { graph: "g", path: "workflows/a (2).json", others: ["workflows/a.json"] }));
});

test("a graph that went on to its end goes on with the same run once more, until something changes", () => {
  const storage = new MemoryStorage();
  const prompts = new Prompts(storage);
  const continuing = (run, done = false) => ({ 6: { run, made: "m", done } });
  prompts.note("p", { ...origin, continuing: continuing("a") });
  assert.equal(prompts.finished("g", "6", "m"), undefined, "it was cancelled: Run begins anew");
  prompts.finish("p", "6");
  prompts.finish("p", "7");
  for (const known of [prompts, new Prompts(storage)]) {
    assert.equal(known.finished("g", "6", "m"), "a");
    for (const other of [["h", "6", "m"], ["g", "7", "m"], ["g", "6", "n"]]) {
      assert.equal(known.finished(...other), undefined);
    }
  }
  prompts.note("q", { ...origin, continuing: continuing("b", true) });
  assert.equal(prompts.finished("g", "6", "m"), "b", "the newest");
  prompts.forget("q", "6");
  assert.equal(new Prompts(storage).finished("g", "6", "m"), "a", "the other one is gone from the disk");
});

test("what made a result are its inputs and those that it depends on", () => {
  const graph = (seed, text, size) => ({
    6: { class_type: "Optimize", inputs: { seed, guidance: ["5", 0] }, _meta: { title: String(Math.random()) } },
    5: { class_type: "Guidance", inputs: { text, loop: ["6", 0] } },
    7: { class_type: "Save", inputs: { size, scene: ["6", 0] } },
  });
  const made = madeOf(graph(1, "a", 8), "6");
  assert.equal(madeOf(graph(1, "a", 9), "6"), made, "what comes after it has no part");
  const changed = [graph(2, "a", 8), graph(1, "b", 8)].map((each) => madeOf(each, "6"));
  assert.equal(new Set([made, ...changed]).size, 3);
});
