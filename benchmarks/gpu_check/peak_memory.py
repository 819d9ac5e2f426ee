"""The most memory that a step holds, by scene and pixels; the networks' weights are counted apart."""

from __future__ import annotations

from typing import Any

import torch

from tbsd_core.memory import is_out_of_memory

from .cases import Cases, Skipped, free_device_memory
from .workload import PRIORS, scenes, workload

SIZES, QUICK_SIZES = (64, 256, 512), (16, 32)
STEPS = 2  # the second has the optimiser's state beside it


def run(cases: Cases) -> None:
    for name, (make_prior, views) in PRIORS.items():
        if cases.quick and name != "demo":
            continue
        prior = make_prior(cases.device)
        for size in QUICK_SIZES if cases.quick else SIZES:
            for scene in scenes(cases.quick):
                cases.run(
                    f"{name}, {scene}, {size} pixels",
                    lambda prior=prior, scene=scene, size=size, views=views: held(prior, scene, size, views, cases),
                )
        del prior
        free_device_memory()


def held(prior: Any, scene: str, size: int, views: int, cases: Cases) -> dict[str, Any]:
    """GiB beyond what was there before, and whether the scene had to shrink its pieces to fit."""
    on_gpu = cases.device == "cuda"
    before = torch.cuda.memory_allocated() if on_gpu else 0
    work = workload(prior, scene, "tbsd", cases.device, size, views)
    fits = True
    try:
        for _ in range(STEPS):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            next(work.steps)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    if not on_gpu:
        raise Skipped("memory is counted on CUDA; the steps ran" if fits else "memory is counted on CUDA")
    peak = (torch.cuda.max_memory_allocated() - before) / 2**30
    return {"views": views, "GiB": peak, "GiB of weights": before / 2**30, "fits": fits}
