// @ts-check
// What this tab has queued: prompts by the id that the server gave them, with the graph that each came from.

const KEY = "tbsd.prompts";
const MAX_PROMPTS = 2000;

/**
 * How a graph went on with a run at one of its optimizers.
 * @typedef {object} Continuing
 * @property {string} run
 * @property {string} made what the optimizer and all that it depends on were, shortened
 * @property {boolean} done whether it came to its end
 */

/**
 * @typedef {object} Origin
 * @property {string} graph
 * @property {string} path
 * @property {string[]} nodes its optimizers, by execution id
 * @property {Record<string, Continuing>} [continuing] by optimizer
 */

export class Prompts {
  /** @param {Pick<Storage, "getItem" | "setItem">} storage lives as long as the tab, reloads included */
  constructor(storage) {
    this.storage = storage;
    /** @type {Map<string, Origin>} */
    this.origins = new Map(read(storage));
  }

  /** @param {string} prompt @param {Origin} origin */
  note(prompt, origin) {
    this.origins.delete(prompt);
    this.origins.set(prompt, origin);
    for (const oldest of [...this.origins.keys()].slice(0, -MAX_PROMPTS)) this.origins.delete(oldest);
    this.#store();
  }

  /** @param {string | null | undefined} prompt */
  of(prompt) {
    return prompt ? this.origins.get(prompt) : undefined;
  }

  /** What was continued has come to its end. @param {string | null} prompt @param {string} node */
  finish(prompt, node) {
    const continuing = this.of(prompt)?.continuing?.[node];
    if (!continuing || continuing.done) return;
    continuing.done = true;
    this.#store();
  }

  /** A run cannot be continued any more. @param {string} prompt @param {string} node */
  forget(prompt, node) {
    const lost = this.of(prompt)?.continuing?.[node]?.run;
    if (!lost) return;
    for (const { continuing = {} } of this.origins.values()) if (continuing[node]?.run === lost) delete continuing[node];
    this.#store();
  }

  /**
   * The run with which a graph has gone on to its end at a node. The same graph must go on with it once more, or the
   * host, which knows its result by what it was made with, would begin anew.
   * @param {string} graph
   * @param {string} node
   * @param {string} made
   */
  finished(graph, node, made) {
    for (const origin of [...this.origins.values()].reverse()) {
      const continuing = origin.graph === graph ? origin.continuing?.[node] : undefined;
      if (continuing?.done && continuing.made === made) return continuing.run;
    }
    return undefined;
  }

  #store() {
    try {
      this.storage.setItem(KEY, JSON.stringify([...this.origins]));
    } catch {
      // the tab's storage is full: the binding holds until the page is reloaded
    }
  }
}

/**
 * What decides the result of a node: its inputs and those of all that it depends on, in a few letters.
 * @param {Record<string, {class_type: string, inputs: Record<string, unknown>}>} output a graph as it is queued
 * @param {string} node
 */
export function madeOf(output, node) {
  /** @type {Map<string, unknown>} */
  const found = new Map();
  const open = [node];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const each = output[id];
    if (!each || found.has(id)) continue;
    found.set(id, [each.class_type, each.inputs]);
    for (const value of Object.values(each.inputs)) if (Array.isArray(value)) open.push(String(value[0]));
  }
  return shortened(JSON.stringify([...found].sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** 53 bits of a text (the mixing of MurmurHash3). @param {string} text */
function shortened(text) {
  let [a, b] = [1, 2];
  for (let i = 0; i < text.length; i += 1) {
    a = Math.imul(a ^ text.charCodeAt(i), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(i), 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}

/**
 * Whether what came from a graph belongs to the one that is open. A path changes when the graph is saved, so it counts
 * only while it is another open graph's: a file that was opened twice has one id.
 * @param {Origin} origin
 * @param {{graph: string | undefined, path: string | undefined, others: string[]}} open `others`: paths of other tabs
 */
export function isFrom(origin, { graph, path, others }) {
  return origin.graph === graph && (origin.path === path || !others.includes(origin.path));
}

/** @param {Pick<Storage, "getItem">} storage @returns {[string, Origin][]} */
function read(storage) {
  try {
    return JSON.parse(storage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}
