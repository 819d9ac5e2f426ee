// @ts-check
// Names and payloads of the server's messages; mirrors nodes/bridge/events.py and Run.event in nodes/bridge/runs.py.

/** @typedef {"running" | "done" | "stopped" | "interrupted" | "failed"} Status */

/**
 * @typedef {object} StepEvent
 * @property {string} run
 * @property {string} node the execution id: "7", or "3:7" for node 7 inside the subgraph node 3
 * @property {string | null} workflow the id of the graph that was queued, null if it had none
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
 */

/** @typedef {{steps: number[], series: Record<string, (number | null)[]>}} StoredCurves */
/** @typedef {StepEvent & {curves: StoredCurves}} RunState */
/** @typedef {{run: string, node: string, workflow: string | null, status: Status}} RunSummary */
/** @typedef {{filename: string, subfolder: string, type: string, columns: number, frames: number}} OrbitSheet */

export const STEP = "tbsd.step";
