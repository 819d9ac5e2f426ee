// @ts-check
// The live panel of an optimizer node.

import { fetchRun, previewUrl, saveCheckpoint, stopRun } from "./client.js";
import { drawCurves, writeLegend } from "./curves_view.js";
import { button, confirmed, make, row } from "./elements.js";
import { describe } from "./offers_model.js";
import { RunModel } from "./run_model.js";
import { t } from "./texts.js";

export const PANEL_HEIGHT = 330;

/**
 * @typedef {object} Actions on the run that is offered
 * @property {(offer: import("./events.js").Unfinished) => Promise<void>} resume
 * @property {(offer: import("./events.js").Unfinished) => Promise<void>} discard
 */

export class Panel {
  /** @param {Actions} actions */
  constructor(actions) {
    this.model = new RunModel();
    /** @type {import("./events.js").Unfinished | null} the run that can be continued here */
    this.offer = null;
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
    this.scrubber.title = t("Look back at earlier pictures of this run. The right end follows the run.");
    this.tabs = make("div", "tbsd-tabs");
    this.canvas = make("canvas", "tbsd-curves");
    this.legend = make("div", "tbsd-legend");
    this.stop = button(
      t("Stop and keep"),
      t("End the run after this step and keep the result so far. The graph continues."),
    );
    this.save = button(
      t("Save checkpoint"),
      t("Write the current scene to output/tbsd. The run continues."),
    );
    this.note = make("span", "tbsd-note");
    this.warning = make("div", "tbsd-warning");
    this.notice = make("div", "tbsd-notice");
    this.offerText = make("span");
    this.resume = button(t("Continue"), t("Queue this graph to do the remaining steps of that run."));
    this.discard = button(t("Discard"), t("Remove all files of that run."));
    this.offerRow = row("tbsd-offer", this.offerText, this.resume, this.discard);
    this.element.append(
      row("tbsd-head", this.headline, this.clock),
      this.offerRow,
      this.notice,
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
    this.timer = 0;
    this.scrubber.addEventListener("input", () => {
      this.model.look(Number(this.scrubber.value));
      this.draw();
    });
    this.stop.addEventListener("click", () => this.#act(this.stop, stopRun, () => t("Stopping after this step.")));
    this.save.addEventListener("click", () => this.#act(this.save, saveCheckpoint, ({ file }) => t("Saved {file}", { file })));
    this.resume.addEventListener("click", () => this.#answer(actions.resume));
    confirmed(this.discard, () => this.#answer(actions.discard));
    for (const control of [this.scrubber, this.tabs, this.stop, this.save, this.resume, this.discard]) {
      control.addEventListener("pointerdown", (event) => event.stopPropagation()); // or the node is dragged
    }
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** @param {import("./events.js").StepEvent} event */
  async follow(event) {
    if (event.run !== this.model.run || event.status !== "running") this.#say("");
    if (this.model.follow(event)) {
      await this.restore(event.run);
    } else this.draw();
  }

  /** Show what the server knows of a run. @param {string} run */
  async restore(run) {
    this.model.load(await fetchRun(run));
    this.draw();
  }

  /** @param {(offer: import("./events.js").Unfinished) => Promise<void>} action */
  async #answer(action) {
    const { offer } = this;
    if (!offer) return;
    this.offer = null;
    this.draw();
    try {
      await action(offer);
    } catch (error) {
      this.offer = offer;
      this.draw();
      this.#say(error instanceof Error ? error.message : String(error));
    }
  }

  /** Let the clock go on between two messages of the server. */
  #tick() {
    if (this.timer || !this.model.isTicking) return;
    let last = performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      this.model.tick((now - last) / 1000);
      last = now;
      this.clock.textContent = this.model.clock;
      if (!this.model.isTicking || !this.element.isConnected) {
        clearInterval(this.timer);
        this.timer = 0;
      }
    }, 1000);
  }

  /** @param {string} text */
  #say(text) {
    this.note.textContent = this.note.title = text;
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
      const text = say(await action(run));
      if (control === this.save || !this.model.ended) this.#say(text); // the end may be heard of before the answer
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
      if (this.model.status === "running") control.disabled = false; // to try again
    }
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
    this.notice.textContent = this.notice.title = model.status === "running" ? model.plan : model.notice;
    this.notice.hidden = this.notice.textContent === "";
    if (model.isTicking) this.offer = null; // what can be continued is asked for anew when this has ended
    const offer = this.offer && model.mayOffer(this.offer.run) ? this.offer : null;
    this.offerRow.hidden = offer === null;
    this.offerText.textContent = offer ? describe(offer) : "";
    this.offerText.title = offer?.text ?? "";
    this.#tick();
    this.scrubber.max = String(Math.max(0, stops.length - 1));
    this.scrubber.value = String(Math.max(0, model.position));
    this.scrubber.disabled = stops.length < 2;
    this.caption.textContent = model.past === null ? "" : t("step {step}", { step: model.past });
    const isRunning = model.status === "running";
    if (!isRunning || this.drawnRun !== model.run) this.stop.disabled = this.save.disabled = !isRunning;
    this.drawnRun = model.run;
    if (model.saved.length && !isRunning) {
      this.#say(t("Saved {file}", { file: model.saved[model.saved.length - 1] ?? "" }));
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
    if (shown === null && this.url) {
      this.url = ""; // what is on show, or on its way, is of the run before this one
      this.image.removeAttribute("src");
    }
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
      if (this.url === url) {
        this.image.replaceWith(next);
        this.image = next;
      }
      done();
    };
    next.onerror = done;
    next.src = url;
  }
}
