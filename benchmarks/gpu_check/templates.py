"""Every template on the demo model on a real ComfyUI server with the device, by its API twin."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.servers import RunError, Server, started, templates

from .cases import Cases, Failed
from .host import NONE, find_host
from .report import ROOT

STEPS = 200
# nodes that make several runs of so many steps
SHARED = {
    "TBSD_Compare": 50,
    "TBSD_OverTime": 50,
    "TBSD_SeedsGrid": 50,
    "TBSD_ObjectivePath": 25,
    "TBSD_SweepShape": 25,
}
QUICK = {"steps": 2, "views_per_step": 1, "n_views": 2, "n_samples": 8, "detail": 17, "texture_size": 64}
QUICK_TEMPLATES = ("Text to image",)
SECONDS = 240  # for one template


def run(cases: Cases) -> None:
    comfyui = find_host()
    names = QUICK_TEMPLATES if cases.quick else templates()
    if comfyui is None:
        for name in names:
            cases.add(name, "skipped", reason=NONE)
        return
    base = cases.scratch / "comfyui"
    base.mkdir()
    with started(comfyui, base, on_gpu=cases.device == "cuda") as server:
        for name in names:
            cases.run(name, lambda name=name: finished(server, name, cases))


def finished(server: Server, name: str, cases: Cases) -> dict[str, Any]:
    prompt = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = with_steps(prompt, cases.quick)
    steps = {node["inputs"]["steps"] for node in prompt.values() if "steps" in node["inputs"]}
    try:
        entry = server.wait(server.queue(prompt), min(SECONDS, max(30.0, cases.seconds_left())))
    except RunError as refused:
        raise Failed("ComfyUI refused it", {"said": str(refused)[:2000]}) from refused
    messages = dict(entry["status"]["messages"])
    values: dict[str, Any] = {"steps": ", ".join(map(str, sorted(steps)))}
    if entry["status"]["status_str"] != "success":
        error = messages.get("execution_error", {})
        said = "\n".join([str(error.get("exception_message")), *map(str, error.get("traceback", [])[-6:])])
        raise Failed(f"it failed in {error.get('node_type')}: {said}", values)
    begun, ended = messages["execution_start"]["timestamp"], messages["execution_success"]["timestamp"]
    values["run s"] = (ended - begun) / 1000
    values["files"] = sum(path.is_file() for path in Path(server.base, "output").rglob("*"))
    return values


def with_steps(prompt: dict[str, Any], quick: bool) -> dict[str, Any]:
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        inputs = node["inputs"]
        if "steps" in inputs:
            inputs["steps"] = SHARED.get(node["class_type"], STEPS)
        if quick:
            inputs |= {key: value for key, value in QUICK.items() if key in inputs}
    return prompt
