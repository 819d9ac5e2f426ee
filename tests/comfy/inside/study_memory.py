"""Cells of Compare Methods and runs of the analysis nodes on little memory, and an interrupt in a series."""

from __future__ import annotations

import json
import tempfile

import torch
from pack import load_pack

load = load_pack()
import comfy.model_management  # noqa: E402
import folder_paths  # noqa: E402

compare, analysis = load("nodes.bridge.compare"), load("nodes.bridge.analysis")
core, scenes, optim = load("tbsd_core.guidance"), load("tbsd_core.scenes"), load("tbsd_core.optim")
prompts, sockets, queued = load("nodes.bridge.prompts"), load("nodes.sockets"), load("nodes.bridge.queued")
CameraConfig, PromptConfig = load("tbsd_core.cameras.sampling").CameraConfig, load("tbsd_core.prompts").PromptConfig
seed_entries = load("tbsd_core.analysis.seeds").seed_entries

folder_paths.set_output_directory(tempfile.mkdtemp())
model, clip, vae = load("nodes.bridge.demo").load_demo_models()
config = PromptConfig(prompt="a brick house", view_dependent=False)
with torch.inference_mode():
    encoded = prompts.Prompts(prompts.encode_prompts(clip, config, ("target", "uncond")), clip, config)
sds = core.METHODS["sds"]
guided = sockets.GuidedModel(model=model, vae=vae, prompts=encoded, guidance=sds.method(sds.config()))
nerf = scenes.NeRFScene(scenes.NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))
budget, cameras = optim.OptimConfig(n_steps=1, size=16, views_per_step=4), CameraConfig()
begun, chunks = compare.begun, []


def seen_begun(*given):
    chunks.append(begun(*given))
    return chunks[-1]


def compared() -> dict:
    chunks.clear()
    jobs = compare.plan([("a", guided), ("b", guided)], [], [0], nerf, cameras, budget, False, False)
    table = compare.compare(jobs, nerf, "compare", queued.Queued("1")).table
    return {"chunks": [experiment.state.view_chunk for experiment in chunks], "table": table}


def series() -> list[int]:
    (base,) = analysis.make_entries([guided], nerf, cameras, budget, False)
    found: list = []
    analysis.run_sheet([guided], seed_entries(base, (0, 1)), (1.0,), None, found.extend)
    return [result.experiment.state.view_chunk for result in found]


compare.begun = seen_begun
with torch.inference_mode():
    report: dict = {"plenty": {"compare": compared(), "series": series()}}
    compare.available_memory = analysis.available_memory = lambda patcher, device: 1
    report["little"] = {"compare": compared(), "series": series()}
    interrupted, asked = comfy.model_management.InterruptProcessingException, []

    def cancelled(*given):
        asked.append(given)
        raise interrupted

    sds.method.__call__ = cancelled  # as a model does in its forward
    try:
        series()
    except interrupted:
        report["interrupted after"] = len(asked)
print(json.dumps(report))
