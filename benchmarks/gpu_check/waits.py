"""Kernels and waits of a step as the profiler sees them, beside the rehearsal on the pretend device."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from .cases import Cases, Failed, synchronize
from .report import ROOT
from .workload import PRIORS, scenes, workload

METHODS, QUICK_METHODS = ("tbsd", "vsd"), ("tbsd",)
SIZE, VIEWS, WARM_UP = 32, 2, 3  # as the rehearsal counts
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
PAGEABLE = ("Memcpy HtoD (Pageable", "Memcpy DtoH (Device -> Pageable")  # for which the host waits, too
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
STEP = "one step of the check"
REHEARSED = ROOT / "tests" / "rehearsal" / "counts.json"


def run(cases: Cases) -> None:
    make_prior, _ = PRIORS["demo"]
    prior = make_prior(cases.device)
    rehearsed = json.loads(REHEARSED.read_text(encoding="utf-8")) if REHEARSED.is_file() else {}
    for scene in scenes(cases.quick):
        for method in QUICK_METHODS if cases.quick else METHODS:
            name = f"{'nerf dense' if scene == 'nerf' else scene} {method}"
            before = {f"rehearsed {k}": v for k, v in rehearsed.get(name, {}).items()}
            cases.run(
                name,
                lambda scene=scene, method=method, before=before: counted(prior, scene, method, cases.device) | before,
            )


def counted(prior: Any, scene: str, method: str, device: str) -> dict[str, Any]:
    work = workload(prior, scene, method, device, SIZE, VIEWS)
    for _ in range(WARM_UP):
        next(work.steps)
    synchronize(device)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as profiled:
        with record_function(STEP):
            next(work.steps)
        synchronize(device)
    events = profiled.events() or []
    step = next((event for event in events if event.name == STEP and event.device_type == DeviceType.CPU), None)
    if step is None:
        raise Failed("the profiler saw no step", {})
    first, last = step.time_range.start, step.time_range.end
    names = Counter(event.name for event in events if first <= event.time_range.start <= last)
    values: dict[str, Any] = {"ops": sum(n for name, n in names.items() if name.startswith("aten::"))}
    if device == "cuda":
        values |= {"kernels": sum(names[name] for name in LAUNCHES), "waits": sum(names[name] for name in WAITS)}
        values |= {name: names[name] for name in (*WAITS, "cudaMemcpyAsync")}
        values["pageable copies"] = sum(n for name, n in names.items() if name.startswith(PAGEABLE))
        if not values["kernels"]:
            raise Failed("the profiler saw no kernel: it may not be allowed to look at this device", values)
    return values
