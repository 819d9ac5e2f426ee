// @ts-check
// Files of the user's computer, for nodes that take the name of a file in ComfyUI's folders.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { t } from "./texts.js";

/** @typedef {import("../../../scripts/app.js").GraphNode} GraphNode */

/**
 * Copy a file into the host's input folder by the host's own route, which gives another name to another file of that
 * name.
 * @param {File} file
 * @param {string} subfolder
 * @returns {Promise<string>} its name below the input folder
 */
export async function uploadTo(file, subfolder) {
  const body = new FormData();
  body.append("image", file, file.name);
  body.append("type", "input");
  body.append("subfolder", subfolder);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (answer.status === 413) throw new Error(t("{file} is larger than the server accepts (--max-upload-size).", { file: file.name }));
  if (!answer.ok) throw new Error(t("The server answered {status}.", { status: answer.status }));
  const stored = await answer.json();
  return stored.subfolder ? `${stored.subfolder}/${stored.name}` : stored.name;
}

/**
 * Give a node a button that uploads a file and sets a text widget to it, and let files be dropped on the node.
 * @param {GraphNode} node
 * @param {{widget: string, label: string, endings: string[], subfolder: string}} options
 */
export function addUpload(node, { widget: name, label, endings, subfolder }) {
  /** @param {FileList | null | undefined} files */
  const fitting = (files) => [...(files ?? [])].find((file) => endings.some((end) => file.name.toLowerCase().endsWith(end)));
  /** @param {File} file */
  const upload = async (file) => {
    const widget = node.widgets?.find((each) => each.name === name);
    try {
      const stored = await uploadTo(file, subfolder);
      if (widget) widget.value = `${stored} [input]`; // the output folder may have one of the same name
      app.graph?.setDirtyCanvas(true, true);
    } catch (error) {
      app.extensionManager.toast.add({ severity: "error", summary: label, detail: String(error), life: 10_000 });
    }
  };
  const input = document.createElement("input");
  input.type = "file";
  input.accept = endings.join(",");
  input.addEventListener("change", () => {
    const file = fitting(input.files);
    if (file) void upload(file);
    input.value = ""; // the same file can be chosen again
  });
  const button = node.addWidget("button", "tbsd_upload", null, () => input.click(), { serialize: false });
  button.label = label;
  button.serialize = false;
  node.onDragOver = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === "file");
  node.onDragDrop = async (event) => {
    const file = fitting(event.dataTransfer?.files);
    if (file) await upload(file);
    return Boolean(file); // another file is the host's
  };
}

app.registerExtension({
  name: "tbsd.upload",

  nodeCreated(node) {
    if (node.comfyClass !== "TBSD_MeshTextureScene") return;
    const endings = [".glb", ".obj", ".ply", ".stl"];
    addUpload(node, { widget: "mesh_file", label: t("Upload a mesh"), endings, subfolder: "3d" });
  },
});
