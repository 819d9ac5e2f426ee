// @ts-check
// The frames of Render Views, turned by dragging.

import { api } from "../../../scripts/api.js";
import { OrbitModel } from "./orbit_model.js";
import { t } from "./texts.js";

export const ORBIT_HEIGHT = 220;

export class Orbit {
  constructor() {
    /** @type {OrbitModel | null} */
    this.model = null;
    this.element = document.createElement("div");
    this.element.className = "tbsd-orbit";
    this.element.tabIndex = 0;
    this.picture = document.createElement("div");
    this.caption = document.createElement("span");
    this.caption.className = "tbsd-caption";
    this.caption.textContent = t("Run the graph, then drag here to turn the object.");
    this.element.append(this.picture, this.caption);
    this.element.addEventListener("pointerdown", (event) => {
      event.stopPropagation(); // or the node is dragged
      this.element.setPointerCapture(event.pointerId);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (!this.element.hasPointerCapture(event.pointerId)) return;
      this.model?.drag(event.movementX);
      this.draw();
    });
    this.element.addEventListener("keydown", (event) => {
      const frames = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (!frames || !this.model) return;
      event.stopPropagation();
      event.preventDefault();
      this.model.advance(frames);
      this.draw();
    });
  }

  /** @param {import("./events.js").OrbitSheet} sheet */
  show(sheet) {
    const { filename, subfolder, type } = sheet;
    const url = api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
    this.model = new OrbitModel(sheet.columns, sheet.frames);
    this.picture.style.backgroundImage = `url("${url}")`;
    this.picture.style.backgroundSize = `${this.model.columns * 100}% ${this.model.rows * 100}%`;
    this.draw();
  }

  draw() {
    if (!this.model) return;
    const { x, y } = this.model.place;
    this.picture.style.backgroundPosition = `${x}% ${y}%`;
    this.caption.textContent = `${this.model.degrees}°`;
  }
}
