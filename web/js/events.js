// @ts-check
// Names and payloads of the server's messages; mirrors nodes/bridge/events.py and Run.event in nodes/bridge/runs.py.

/** @typedef {"running" | "done" | "stopped" | "interrupted" | "failed"} Status */

/**
 * @typedef {object} StepEvent
 * @property {string} run
 * @property {string} node the execution id: "7", or "3:7" for node 7 inside the subgraph node 3
 * @property {string | null} prompt the id that the queue gave its graph
 * @property {string | null} graph the id of the graph on the canvas
 * @property {Status} status
 * @property {number} step
 * @property {number} steps
 * @property {number} elapsed seconds
 * @property {number | null} remaining seconds
 * @property {Record<string, number>} scalars
 * @property {number | null} preview the step of the newest picture
 * @property {boolean} final whether that picture is of the finished result
 * @property {number[]} previews the steps of the pictures to look back at
 * @property {string[]} saved names of scene files in the output folder
 * @property {string[]} warnings what the user should know of the run that goes on
 * @property {string} error
 * @property {number} resumed steps that were done before this run began
 * @property {string} phase what happens while no step is done; "" while they are
 * @property {string} plan what it will take
 * @property {boolean} kept whether its state is on disk and can be continued
 */

/** @typedef {{steps: number[], series: Record<string, (number | null)[]>}} StoredCurves */
/** @typedef {StepEvent & {curves: StoredCurves}} RunState */
/** @typedef {{run: string, node: string, prompt: string | null, graph: string | null, status: Status}} RunSummary */

/**
 * @typedef {object} Unfinished a run on disk that no process writes
 * @property {string} run
 * @property {string} node
 * @property {string | null} prompt the id that the queue gave its graph
 * @property {number} step
 * @property {number} steps
 * @property {number} at seconds since 1970
 * @property {string} text the prompt
 * @property {string} method
 * @property {string} scene
 * @property {"crashed" | Status} status
 * @property {Record<string, string>} nodes class by execution id, of the optimizer and all that it depends on
 */

/**
 * @typedef {object} SceneFile what Load Scene can read
 * @property {string} file
 * @property {"run" | "scene"} kind
 * @property {string | null} run
 * @property {number} at seconds since 1970
 * @property {number} bytes
 * @property {number | null} step
 * @property {number | null} steps
 * @property {string} text the prompt
 * @property {string} method
 * @property {string} scene
 * @property {string} status
 * @property {boolean} picture whether there is one of it
 */

/** @typedef {{filename: string, subfolder: string, type: string, columns: number, frames: number}} OrbitSheet */

export const STEP = "tbsd.step";
