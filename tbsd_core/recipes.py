"""Settings that suit the embedded priors, per scene: where a run starts before the user changes anything.

Chosen by measurement on the small world (see benchmarks/). Real checkpoints want the published values;
the nodes and the dataclass defaults hold those.
"""

from __future__ import annotations

from typing import Any

from .optim.config import OptimConfig

OPTIM: dict[str, OptimConfig] = {
    "image": OptimConfig(n_steps=250, views_per_step=1, lr=0.01),
    "latent": OptimConfig(n_steps=250, views_per_step=1, lr=0.03),
    "nerf": OptimConfig(n_steps=300, views_per_step=4, lr=0.02),
}

# guidance settings by (method, is it a 3D scene); fields not named keep the method's own default
GUIDANCE: dict[tuple[str, bool], dict[str, Any]] = {
    ("sds", True): {"guidance_scale": 7.5},
    ("bridge", True): {"guidance_scale": 7.5, "anchor": 1.0},
    ("tbsd", True): {"guidance_scale": 7.5},
    ("sds", False): {"guidance_scale": 7.5},
    ("bridge", False): {"guidance_scale": 7.5, "anchor": 1.0},
    ("tbsd", False): {"guidance_scale": 7.5},
}


def recipe(method: str, scene: str, uses_cameras: bool) -> tuple[OptimConfig, dict[str, Any]]:
    """Loop settings and guidance overrides for a method on a scene."""
    return OPTIM[scene], GUIDANCE.get((method, uses_cameras), {})
