// @ts-check
// Names and payloads of the server's messages; mirrors nodes/bridge/events.py.

/** @typedef {{node: string, step: number, steps: number, scalars: Record<string, number>}} StepEvent */

export const STEP = "tbsd.step";
