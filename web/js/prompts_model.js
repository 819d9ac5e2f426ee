// @ts-check
// What this tab has queued: prompts by the id that the server gave them, with the graph that each came from.

const KEY = "tbsd.prompts";
const MAX_PROMPTS = 2000;

/** @typedef {{graph: string, path: string, nodes: string[]}} Origin `nodes`: its optimizers, by execution id */

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
    try {
      this.storage.setItem(KEY, JSON.stringify([...this.origins]));
    } catch {
      // the tab's storage is full: the binding holds until the page is reloaded
    }
  }

  /** @param {string | null | undefined} prompt */
  of(prompt) {
    return prompt ? this.origins.get(prompt) : undefined;
  }
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
