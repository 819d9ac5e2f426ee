"""The time of a step over its floor, by the command `benchmark speed`: demo model, and SD 1.5 at full size."""

from __future__ import annotations

from functools import partial
from typing import Any

from tbsd_core.benchmark.speed import DEMO, SpeedConfig, measure_speed
from tbsd_core.optim import OptimConfig

from .cases import Cases

SCENES = ("image", "nerf", "gaussian", "mesh_texture", "nerf hash")
# model, half precision, views of a 3D scene, their pixels
LARGE: dict[str, tuple[str, bool, int, int]] = {
    "demo": (DEMO, False, 4, 64),
    "sd15 float16": ("sd15", True, 1, 256),
}
QUICK = {"demo": (DEMO, False, 1, 16)}
ROUNDS = 10


def run(cases: Cases) -> None:
    for prior, (model, half, views, size) in (QUICK if cases.quick else LARGE).items():
        for scene in SCENES[:1] if cases.quick else SCENES:
            config = SpeedConfig(
                model=model,
                scenes=(scene,),
                rounds=1 if cases.quick else ROUNDS,
                steps_per_round=1 if cases.quick else 2,
                device=cases.device,
                half=half,
                nerf_size=size,
                optim=OptimConfig(n_steps=10**6, views_per_step=views),
            )
            cases.run(f"{prior}, {scene}", partial(measured, config, scene))


def measured(config: SpeedConfig, scene: str) -> dict[str, Any]:
    """Milliseconds of the parts and of a step, medians, and the median of the ratios round by round."""
    result = measure_speed(config)
    seconds = result["seconds"][scene]
    values: dict[str, Any] = {f"{name} ms": 1000 * value for name, value in seconds.items()}
    return {**values, "step / floor": result["ratios"][scene]}
