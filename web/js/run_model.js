// @ts-check
// What a panel shows of one run, and how it follows the server's messages; no DOM here.

import { CurvesModel } from "./curves_model.js";
import { t } from "./texts.js";

const MIN_AXIS = 20; // steps
/** @typedef {{step: number, steps: number}} Place */
const HEADLINES = {
  idle: () => t("Curves and previews of the run appear here."),
  running: (/** @type {Place} */ { step, steps }) => t("Step {step} / {steps}", { step, steps }),
  done: (/** @type {Place} */ { step, steps }) => t("Done, step {step} / {steps}", { step, steps }),
  stopped: (/** @type {Place} */ { step, steps }) => t("Stopped and kept, step {step} / {steps}", { step, steps }),
  interrupted: (/** @type {Place} */ { step, steps }) => t("Cancelled at step {step} / {steps}", { step, steps }),
  failed: (/** @type {Place} */ { step, steps }) => t("Failed at step {step} / {steps}", { step, steps }),
  lost: (/** @type {Place} */ { step, steps }) =>
    t("The server has forgotten this run; step {step} / {steps}", { step, steps }),
};

const PHASES = {
  "Loading models": () => t("Loading models"),
  "Preparing the run": () => t("Preparing the run"),
  "First step": () => t("First step"),
  "Rendering the result": () => t("Rendering the result"),
};

export class RunModel {
  constructor() {
    /** @type {string | null} */
    this.run = null;
    /** @type {string | null} the id that the queue gave its graph */
    this.prompt = null;
    this.phase = "";
    this.plan = "";
    this.waiting = ""; // for what, while a graph that is queued has not come to this node
    this.notice = ""; // why there is no new run
    this.since = 0; // seconds since the server's last message, or since the waiting began
    /** @type {keyof typeof HEADLINES} */
    this.status = "idle";
    this.step = 0;
    this.steps = 0;
    this.resumed = 0; // steps that were done before it began
    this.elapsed = 0;
    /** @type {number | null} */
    this.remaining = null;
    /** @type {number | null} the step of the newest picture */
    this.preview = null;
    /** @type {number[]} */
    this.previews = [];
    /** @type {string[]} */
    this.saved = [];
    /** @type {string[]} */
    this.warnings = [];
    this.error = "";
    this.curves = new CurvesModel();
    this.final = false; // whether the newest picture is of the finished result
    /** @type {number | null} the step that is looked back at; null follows the run */
    this.past = null;
  }

  /**
   * @param {import("./events.js").StepEvent} event
   * @returns {boolean} whether there are earlier steps, which must be fetched
   */
  follow(event) {
    const isNew = event.run !== this.run;
    if (isNew && this.status === "running" && event.status !== "running") return false; // of the run before this one
    if (isNew) Object.assign(this, new RunModel());
    if (!isNew && (event.step < this.step || (this.ended && event.status === "running"))) return false;
    const goesOn = event.resumed !== this.resumed; // it is told after the models are loaded
    this.#take(event);
    this.curves.add(event.step, event.scalars);
    return isNew || goesOn;
  }

  /** @param {import("./events.js").RunState} state what the server knows of a run, perhaps older than the last event */
  load(state) {
    if (state.run !== this.run) Object.assign(this, new RunModel());
    this.curves.load(state.curves);
    if (state.step >= this.step && !(this.ended && state.status === "running")) this.#take(state);
  }

  /** The server was started anew and knows no such run. */
  lose() {
    this.waiting = "";
    if (this.status === "running") this.status = "lost";
  }

  /**
   * A graph that is queued has not come to this node yet. A run of that graph is heard of by its own messages.
   * @param {string} prompt
   * @param {string} what
   */
  await(prompt, what) {
    if (this.status === "running" || this.prompt === prompt) return;
    if (!this.waiting) this.since = 0;
    this.waiting = what;
    this.notice = "";
  }

  /** The graph that was waited for has ended, or serves this node from the host's cache. @param {string} notice */
  settle(notice = "") {
    this.waiting = "";
    if (notice) this.notice = notice;
  }

  /** The host has used the node's earlier result. @param {string} prompt */
  reuse(prompt) {
    const said = t("Nothing has changed since this run, so its result was reused.");
    this.settle(this.status === "stopped" ? `${said} ${t("Continue does the remaining steps.")}` : said);
    this.prompt = prompt;
  }

  /** @param {number} seconds that have passed */
  tick(seconds) {
    this.since += seconds;
  }

  /** Whether time passes for this panel. */
  get isTicking() {
    return this.status === "running" || this.waiting !== "";
  }

  /** @param {import("./events.js").StepEvent} event */
  #take(event) {
    const { run, prompt, status, step, steps, elapsed, remaining, preview, final, previews, saved, error } = event;
    // a graph may end before the last message of its run: that tells nothing of the graph which is waited for by then
    if (run !== this.run || status === "running") this.waiting = "";
    if (!this.waiting) this.since = 0;
    this.warnings = event.warnings ?? [];
    // an ended run that is read again, as after a lost connection, takes nothing back of what was said since
    if (run !== this.run || status !== this.status || !this.ended) Object.assign(this, { prompt, notice: "" });
    Object.assign(this, { run, status, step, steps, elapsed, remaining, preview, final, previews, saved, error });
    const { phase, plan, resumed } = event;
    Object.assign(this, { phase, plan, resumed });
    // the server may have thinned out what is looked at
    if (this.past !== null) this.past = nearest(previews, this.past);
  }

  /**
   * Whether the panel may offer a run that can be continued. What is done is offered only as itself, where the graph
   * after it failed.
   * @param {string} run
   */
  mayOffer(run) {
    return !this.isTicking && (this.status !== "done" || this.run === run);
  }

  get ended() {
    return this.status !== "running" && this.status !== "idle";
  }

  /** @returns {number[]} the steps along the scrubber, the newest last */
  get stops() {
    if (this.preview === null) return [];
    return this.previews[this.previews.length - 1] === this.preview ? this.previews : [...this.previews, this.preview];
  }

  get position() {
    return this.past === null ? this.stops.length - 1 : this.stops.indexOf(this.past);
  }

  /** Look at a stop of the scrubber; the last one follows the run. @param {number} position */
  look(position) {
    const stops = this.stops;
    this.past = position >= stops.length - 1 ? null : (stops[Math.max(0, position)] ?? null);
  }

  /** @returns {number | null} the step of the picture to show */
  get shown() {
    return this.past ?? this.preview;
  }

  /** @returns {number} where the step axis ends: at the present step, or while running at a half, a quarter ... */
  get axis() {
    if (this.ended) return Math.max(1, this.step);
    let end = this.steps;
    while (end / 2 >= Math.max(this.step, MIN_AXIS)) end /= 2;
    return Math.max(1, end);
  }

  get headline() {
    if (this.waiting) return this.waiting;
    const reason = this.error ? ` (${this.error})` : "";
    const place = HEADLINES[this.status](this) + reason;
    if (this.status !== "running" || !this.phase) return place;
    const phase = PHASES[/** @type {keyof typeof PHASES} */ (this.phase)]?.() ?? this.phase;
    return this.step ? `${place}: ${phase}` : phase;
  }

  get clock() {
    if (this.waiting) return duration(this.since);
    if (this.status === "idle") return "";
    const passed = this.status === "running" ? this.since : 0;
    const elapsed = duration(this.elapsed + passed);
    if (this.remaining === null) return elapsed;
    return t("{elapsed}, {remaining} left", { elapsed, remaining: duration(this.remaining - passed) });
  }
}

/**
 * @param {number[]} steps
 * @param {number} wanted
 * @returns {number | null}
 */
function nearest(steps, wanted) {
  /** @type {number | null} */
  let best = null;
  for (const step of steps) if (best === null || Math.abs(step - wanted) < Math.abs(best - wanted)) best = step;
  return best;
}

/** Seconds as 0:07, 12:30 or 2:05:00. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}
