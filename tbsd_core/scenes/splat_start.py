"""A Gaussian scene that starts from given splats, and its result in their own coordinates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..placement import UPRIGHT, SplatPlacementConfig, placement
from ..renderer.splatting import Splats
from .gaussians import GaussianConfig, GaussianScene
from .splat_frame import TURNED_OVER, moved

COLOR_EDGE = 0.002  # colours keep this distance from black and white: at the ends of a sigmoid no gradient is left
OPACITY_EDGE = 1e-4
INNER, FAR = 0.98, 3.0  # splats beyond FAR times the distance that so many lie within are not part of the object
FAINT = 0.1  # opacity below which a splat does not count for the size of the object
MIN_SCALE = 1e-5  # of the scene; flat splats have an axis of 0


def scene_of_splats(
    splats: Splats, config: GaussianConfig | None = None, place: SplatPlacementConfig | None = None
) -> tuple[GaussianScene, list[str]]:
    """A scene of these Gaussians, all of which can be optimised, and a note on the ones left out.

    The opaque ones fill the ball that cameras look at. Single ones far away, as captures have them, do not count for
    that. Splats outside of the scene's bound, which would push them to its edge, are dropped.

    Raises:
        ValueError: too many, or all in one place.
    """
    config, place = config or GaussianConfig(), place or SplatPlacementConfig()
    counted = splats.opacities > FAINT
    points = splats.means[counted if bool(counted.any()) else slice(None)].detach().double().cpu().numpy()
    whole = placement(points[are_near(points)], place)
    upright = np.eye(4)
    upright[:3, :3] = UPRIGHT[place.up]
    splats = moved(splats, whole)
    inside = splats.means.norm(dim=-1) <= config.bound
    n_left = int((~inside).sum())
    matrix = (whole @ np.linalg.inv(upright))[:3]
    config = replace(config, n_gaussians=int(inside.sum()), place=tuple(float(x) for x in matrix.flatten()))
    scene = GaussianScene(config)
    with torch.no_grad():
        scene.means.copy_(splats.means[inside])
        scene.quats.copy_(torch.nn.functional.normalize(splats.quats[inside], dim=-1))
        scene.log_scales.copy_(splats.scales[inside].clamp(min=MIN_SCALE).log())
        scene.opacity_logits.copy_(torch.logit(splats.opacities[inside], eps=OPACITY_EDGE))
        scene.color_logits.copy_(torch.logit(splats.colors[inside], eps=COLOR_EDGE))
    return scene, [f"{n_left:,} splats that are faint or far from the object dropped"] if n_left else []


def are_near(points: np.ndarray) -> np.ndarray:
    """Which of the points [N, 3] are where nearly all are: [N] bool."""
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=-1)
    return distance <= FAR * max(np.quantile(distance, INNER), 1e-12)


@torch.no_grad()
def file_splats(scene: GaussianScene) -> Splats:
    """The Gaussians in the frame of files, +y down, at the place of the splats that the scene started from."""
    place = np.eye(4)
    place[:3] = np.array(scene.config.place).reshape(3, 4)
    return moved(scene.splats(), TURNED_OVER @ np.linalg.inv(place))
