// @ts-check
// The dialog in which Load Scene finds its file: kept runs and scene files with pictures, dates and prompts.

import { listFiles, removeRun, thumbnailUrl } from "./client.js";
import { button, confirmed, make, row } from "./elements.js";
import { details } from "./offers_model.js";
import { t } from "./texts.js";
import { uploadTo } from "./upload.js";

/** @typedef {import("./events.js").SceneFile} SceneFile */

/** @param {(file: string) => void} choose gets the value of the node's widget */
export async function openPicker(choose) {
  const dialog = make("dialog", "tbsd-picker");
  const list = make("ul");
  const message = make("p");
  const close = button(t("Close"), "");
  const upload = button(t("Upload..."), t("Copy a scene file from this computer to ComfyUI."));
  const input = make("input");
  Object.assign(input, { type: "file", accept: ".safetensors", hidden: true });
  const title = make("h2");
  title.textContent = t("Choose a scene or a run");
  dialog.setAttribute("aria-label", title.textContent);
  dialog.append(row("tbsd-picker-head", title, upload, close, input), message, list);

  const say = (/** @type {unknown} */ problem) => {
    message.textContent = problem instanceof Error ? problem.message : String(problem);
  };
  const pick = (/** @type {string} */ file) => {
    choose(file);
    dialog.close();
  };
  close.addEventListener("click", () => dialog.close());
  upload.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) uploadTo(file, "tbsd").then((name) => pick(`${name} [input]`), say); // the output folder may have one, too
  });
  for (const kind of ["keydown", "keyup", "paste", "pointerdown", "wheel"]) {
    dialog.addEventListener(kind, (event) => event.stopPropagation()); // or the canvas answers, too
  }
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const files = await listFiles();
    message.textContent = files.length ? "" : t("There are no runs or scene files yet.");
    list.append(...files.map((file) => entry(file, pick, say)));
    list.querySelector("button")?.focus();
  } catch (problem) {
    say(problem);
  }
}

/**
 * @param {SceneFile} file
 * @param {(file: string) => void} pick
 * @param {(problem: unknown) => void} say
 */
function entry(file, pick, say) {
  const item = make("li");
  const choice = button("", file.file);
  const picture = make("img");
  picture.alt = "";
  if (file.run && file.picture) picture.src = thumbnailUrl(file.run); // one that ended early may have none
  const name = make("strong");
  name.textContent = file.text || file.file;
  const line = make("span");
  line.textContent = details(file);
  const where = make("small");
  where.textContent = file.file;
  choice.append(picture, row("", name, line, where));
  choice.addEventListener("click", () => pick(file.file));
  item.append(choice);
  const { run } = file;
  if (run) {
    const remove = button(t("Remove"), t("Remove all files of that run."));
    confirmed(remove, () => removeRun(run).then(() => item.remove(), say));
    item.append(remove);
  }
  return item;
}
