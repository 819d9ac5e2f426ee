// @ts-check
// The live panel of an optimizer node.

import { fetchRun, previewUrl, saveCheckpoint, stopRun } from "./client.js";
import { drawCurves, writeLegend } from "./curves_view.js";
import { RunModel } from "./run_model.js";
import { t } from "./texts.js";

export const PANEL_HEIGHT = 330;

export class Panel {
  constructor() {
    this.model = new RunModel();
    this.element = make("div", "tbsd-panel");
    this.headline = make("span", "tbsd-headline");
    this.clock = make("span", "tbsd-clock");
    this.stage = make("div", "tbsd-stage");
    this.image = make("img");
    this.image.alt = "";
    this.caption = make("span", "tbsd-caption");
    this.stage.append(this.image, this.caption);
    this.scrubber = make("input", "tbsd-scrubber");
    Object.assign(this.scrubber, { type: "range", min: "0", max: "0", value: "0", disabled: true });
    this.scrubber.title = t("Look back at earlier pictures of this run; the right end follows it.");
    this.tabs = make("div", "tbsd-tabs");
    this.canvas = make("canvas", "tbsd-curves");
    this.legend = make("div", "tbsd-legend");
    this.stop = button(
      t("Stop and keep"),
      t("End the run after this step with the result so far; the graph goes on."),
    );
    this.save = button(
      t("Save checkpoint"),
      t("Write the scene as it is now into output/tbsd; the run goes on."),
    );
    this.note = make("span", "tbsd-note");
    this.warning = make("div", "tbsd-warning");
    this.element.append(
      row("tbsd-head", this.headline, this.clock),
      this.warning,
      this.stage,
      this.scrubber,
      this.tabs,
      this.canvas,
      this.legend,
      row("tbsd-actions", this.stop, this.save, this.note),
    );
    this.tab = "";
    /** @type {string} the picture on show, or on its way */
    this.url = "";
    this.isLoading = false;
    this.scrubber.addEventListener("input", () => {
      this.model.look(Number(this.scrubber.value));
      this.draw();
    });
    this.stop.addEventListener("click", () => this.#act(this.stop, stopRun, () => t("Stopping after this step.")));
    this.save.addEventListener("click", () => this.#act(this.save, saveCheckpoint, ({ file }) => t("Saved {file}", { file })));
    for (const control of [this.scrubber, this.tabs, this.stop, this.save]) {
      control.addEventListener("pointerdown", (event) => event.stopPropagation()); // or the node is dragged
    }
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** @param {import("./events.js").StepEvent} event */
  async follow(event) {
    if (this.model.follow(event)) {
      this.note.textContent = "";
      await this.restore(event.run);
    } else this.draw();
  }

  /** Show what the server knows of a run. @param {string} run */
  async restore(run) {
    this.model.load(await fetchRun(run));
    this.draw();
  }

  /**
   * @template T
   * @param {HTMLButtonElement} control
   * @param {(run: string) => Promise<T>} action
   * @param {(answer: T) => string} say
   */
  async #act(control, action, say) {
    const { run } = this.model;
    if (!run) return;
    control.disabled = true;
    try {
      this.note.textContent = say(await action(run));
    } catch (error) {
      this.note.textContent = error instanceof Error ? error.message : String(error);
    }
    this.note.title = this.note.textContent ?? "";
    if (this.model.status === "running" && control === this.save) control.disabled = false;
  }

  draw() {
    const { model } = this;
    const stops = model.stops;
    this.element.dataset.status = model.status;
    this.headline.textContent = this.headline.title = model.headline;
    this.clock.textContent = model.clock;
    this.warning.textContent = model.warnings[model.warnings.length - 1] ?? "";
    this.warning.title = model.warnings.join("\n");
    this.warning.hidden = model.warnings.length === 0;
    this.scrubber.max = String(Math.max(0, stops.length - 1));
    this.scrubber.value = String(Math.max(0, model.position));
    this.scrubber.disabled = stops.length < 2;
    this.caption.textContent = model.past === null ? "" : t("step {step}", { step: model.past });
    const isRunning = model.status === "running";
    if (!isRunning || this.drawnRun !== model.run) this.stop.disabled = this.save.disabled = !isRunning;
    this.drawnRun = model.run;
    if (model.saved.length && !isRunning) {
      this.note.textContent = this.note.title = t("Saved {file}", { file: model.saved[model.saved.length - 1] });
    }
    this.#drawCurves();
    this.#drawPicture();
  }

  #drawCurves() {
    const groups = this.model.curves.groups();
    const active = groups.find((group) => group.id === this.tab) ?? groups[0];
    if (this.tabs.childElementCount !== groups.length) {
      this.tabs.replaceChildren(...groups.map((group) => this.#tab(group)));
    }
    for (const tab of this.tabs.querySelectorAll("button")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.group === active?.id));
    }
    drawCurves(this.canvas, active, this.model.axis, this.model.past);
    writeLegend(this.legend, active);
  }

  /** @param {import("./curves_model.js").Group} group */
  #tab(group) {
    const tab = button(group.title, "");
    tab.dataset.group = group.id;
    tab.addEventListener("click", () => {
      this.tab = group.id;
      this.#drawCurves();
    });
    return tab;
  }

  /** One picture at a time: the next is asked for when the last has come, and none while the page is hidden. */
  #drawPicture() {
    const { run, shown } = this.model;
    if (!run || shown === null || this.isLoading || document.hidden) return;
    const url = previewUrl(run, shown, this.model.final && this.model.past === null);
    if (url === this.url) return;
    this.url = url;
    this.isLoading = true;
    const next = make("img");
    next.alt = t("preview of step {step}", { step: shown });
    const done = () => {
      this.isLoading = false;
      this.#drawPicture();
    };
    next.onload = () => {
      this.image.replaceWith(next);
      this.image = next;
      done();
    };
    next.onerror = done;
    next.src = url;
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @returns {HTMLElementTagNameMap[K]}
 */
function make(tag, className = "") {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** @param {string} text @param {string} title */
function button(text, title) {
  const element = make("button");
  Object.assign(element, { type: "button", textContent: text, title });
  return element;
}

/** @param {string} className @param {HTMLElement[]} children */
function row(className, ...children) {
  const element = make("div", className);
  element.append(...children);
  return element;
}
