import assert from "node:assert/strict";
import { test } from "node:test";

import { Prompts, isFrom } from "../../../web/js/prompts_model.js";

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
