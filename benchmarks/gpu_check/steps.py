"""The steps of the check in their order. A new one is a file with `run(cases)` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import agreement, gradients, libraries, peak_memory, step_time, templates, waits
from .cases import Cases


@dataclass(frozen=True)
class Step:
    run: Callable[[Cases], None]
    title: str
    minutes: float  # after which no further case of it is begun; what a step leaves is for those after it


STEPS: dict[str, Step] = {
    "agreement": Step(agreement.run, "the same steps on the device and on the CPU", 1.25),
    "gradients": Step(gradients.run, "gradients of full-size models in every memory mode of ComfyUI", 3.0),
    "step-time": Step(step_time.run, "the time of a step over its floor", 1.0),
    "peak-memory": Step(peak_memory.run, "the most memory that a step holds", 0.75),
    "waits": Step(waits.run, "kernels and waits of a step", 0.5),
    "libraries": Step(libraries.run, "CUDA kernels of gsplat and nerfacc against the torch path", 0.25),
    "templates": Step(templates.run, "every template on a server", 1.5),
}
