// @ts-check
// The pack's settings in ComfyUI's dialog; nodes/bridge/kept.py reads them from the file that the host keeps. Their texts
// in other languages are in locales/*/main.json, where tests/comfy/inside/locales.py collects these.

export const SETTINGS = [
  {
    id: "tbsd.runs.gigabytes",
    name: "Space for kept runs (GiB)",
    tooltip: "If the runs in output/tbsd/runs take more space, the least recently used ones are removed.",
    type: "number",
    defaultValue: 8,
    attrs: { min: 0.1, step: 0.5, maxFractionDigits: 1, showButtons: true },
    category: ["TBSD", "Runs", "gigabytes"],
  },
  {
    id: "tbsd.runs.number",
    name: "Runs kept on disk",
    tooltip: "If there are more runs in output/tbsd/runs, the least recently used ones are removed.",
    type: "number",
    defaultValue: 20,
    attrs: { min: 1, step: 1, showButtons: true },
    category: ["TBSD", "Runs", "number"],
  },
];
