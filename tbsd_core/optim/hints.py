"""The hints that a ControlNet gets for the views of a step, so that the prior paints onto the existing geometry.

Depth or normals that are rendered from each camera go into the network with every condition, as in TEXTure
(arXiv:2302.01721) and Fantasia3D (arXiv:2303.13873): features that belong to another pose find no place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras.hints import depth_hint, normal_hint
from ..cameras.pose import Cameras
from ..priors.base import Condition, Hinted
from ..scenes.base import RenderOutput, Scene
from ..settings import check_settings, setting
from .parts import parts_of
from .resolution import enlarged

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    kind: str = setting(
        NONE,
        meaning="what a ControlNet is shown of each view of a 3D scene, so that the model paints onto its geometry",
        choices=(NONE, "depth", "normal"),
    )
    strength: float = setting(
        1.0,
        "How much the geometry counts. 1 as in the training of the ControlNet; lower it if the object looks stiff "
        "or flat.",
        meaning="what the residuals of the ControlNet are multiplied by",
        at_least=0.0,
        at_most=10.0,
        step=0.05,
    )
    net: str = setting(
        "", meaning="folder of a diffusers ControlNet that belongs to the pipeline; empty for the demo model's own"
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Hints:
    """The hints of the B views of a step."""

    maps: Tensor  # [B, 3, H, W] in [0, 1]
    strength: float

    def on(self, conditions: Sequence[Condition], samples: Sequence[int]) -> list[Condition]:
        """Conditions with the hints of their views."""
        return [Hinted(c, self.maps[i], self.strength) for c, i in zip(conditions, samples, strict=True)]


def _depth(render: RenderOutput, cameras: Cameras) -> Tensor:
    return depth_hint(render.depth, render.opacity, cameras)


def _normal(render: RenderOutput, cameras: Cameras) -> Tensor:
    assert render.normal is not None
    return normal_hint(render.normal, render.opacity, cameras)


MAPS: Mapping[str, Callable[[RenderOutput, Cameras], Tensor]] = {"depth": _depth, "normal": _normal}


@torch.no_grad()
def view_hints(
    config: ControlConfig,
    scene: Scene,
    cameras: Cameras,  # B, on the scene's device
    render: RenderOutput,  # the step's own render of them
    side: int,  # pixels of the pictures that the model sees
    at_once: int = 0,  # views that are rendered together; 0 for all
) -> Hints:
    """The hints [B, 3, side, side] of the views of a step, for a kind that is not none.

    A scene whose shape changes takes the depth of the step's own render, enlarged, at no cost; its normals take another
    render. A painted mesh is rendered at `side`, which is cheap.
    """
    again = scene.fixed_geometry or config.kind == "normal"
    if not again:
        return Hints(enlarged(MAPS[config.kind](render, cameras), side), config.strength)
    size = side if scene.fixed_geometry else render.opacity.shape[-1]
    maps = []
    for rows in parts_of(len(cameras), at_once):
        seen = scene.render(cameras[rows], size, size, with_normal=config.kind == "normal")
        maps.append(enlarged(MAPS[config.kind](seen, cameras[rows]), side))
    return Hints(torch.cat(maps), config.strength)
