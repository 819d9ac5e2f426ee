// @ts-check
// The small parts that the views are made of.

import { t } from "./texts.js";

const CONFIRM_SECONDS = 4;

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className = "") {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** @param {string} text @param {string} title */
export function button(text, title) {
  const element = make("button");
  Object.assign(element, { type: "button", textContent: text, title });
  return element;
}

/** @param {string} className @param {HTMLElement[]} children */
export function row(className, ...children) {
  const element = make("div", className);
  element.append(...children);
  return element;
}

/**
 * Call `action` when the button is pressed twice: the first time it asks.
 * @param {HTMLButtonElement} control
 * @param {() => void} action
 */
export function confirmed(control, action) {
  const { textContent } = control;
  const reset = () => {
    control.textContent = textContent;
    delete control.dataset.asking;
  };
  control.addEventListener("click", () => {
    const asked = "asking" in control.dataset;
    reset();
    if (asked) return action();
    control.dataset.asking = "";
    control.textContent = t("Remove for good?");
    setTimeout(reset, CONFIRM_SECONDS * 1000);
  });
}
