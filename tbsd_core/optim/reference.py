"""A picture that the scene must look like from one camera, whatever the prior says: the reference view.

A prior that is shown a picture draws the other sides, but does not keep the front that is known: threestudio's Zero123
and Magic123 (arXiv:2306.17843) hold the scene to it with a loss on colours and one on the outline.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import CameraConfig
from ..scenes.base import RenderOutput, Scene
from ..settings import check_settings, setting
from ..transfer import to_device

MAX_SIDE = 1024  # pixels of a reference; no model here is shown more
EMPTY = 1e-3  # coverage of a pixel below which it has no colour of its own
FULL_BORDER = 0.9  # of the border: an object that covers more of it is not in the picture as a whole


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """How a scene is held to a picture. Weights are relative to a guidance gradient of unit RMS."""

    elevation: float = setting(  # stable-zero123.yaml
        5.0,
        "How high the camera of the picture stands: 0 is level with the object, 90 straight above. Guess it.",
        at_least=-90,
        at_most=90,
        step=1.0,
    )
    fill: float = setting(
        0.75,
        "Part of the frame that the object fills: it is cut out, centred and scaled to it. 0 takes the picture as it "
        "is.",
        at_least=0.0,
        at_most=1.0,
        step=0.05,
    )
    rgb_weight: float = setting(
        5.0,  # stable-zero123.yaml: 500 to 1000, with 0.1 for SDS; 3 to 6 here if the gradient of SDS has an RMS of 0.4
        "How strongly the front keeps the colours of the picture. Raise it if the front drifts, lower it if it looks "
        "like a sticker. 0 turns it off.",
        at_least=0.0,
        high=1000.0,
        step=1.0,
    )
    mask_weight: float = setting(
        0.5,  # stable-zero123.yaml: a tenth of the colours' weight
        "How strongly the front keeps the outline of the picture. 0 turns it off.",
        at_least=0.0,
        high=1000.0,
        step=0.1,
    )
    file: str = setting(
        "", meaning="a picture with a transparent background that a 3D scene keeps to from the front; empty for none"
    )
    every: int = setting(1, meaning="steps between two looks at the reference view", at_least=1)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class Reference:
    """A picture of the front of an object.

    Args:
        rgb: [1, 3, S, S] in [0, 1], the object's colours; of no meaning where the mask is 0.
        mask: [1, 1, S, S] in [0, 1], how much of a pixel the object covers.

    Raises:
        ValueError: other shapes.
    """

    rgb: Tensor
    mask: Tensor
    config: ReferenceConfig
    # by side and device: a step neither copies the picture again nor waits for it
    _sized: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        shapes, side = (tuple(self.rgb.shape), tuple(self.mask.shape)), self.rgb.shape[-1]
        if shapes != ((1, 3, side, side), (1, 1, side, side)):
            raise ValueError(f"A reference needs rgb [1, 3, S, S] and mask [1, 1, S, S], got {shapes[0]}, {shapes[1]}.")

    def on_white(self) -> Tensor:
        """The picture [1, 3, S, S] as Zero123 was trained: on white."""
        return self.rgb * self.mask + (1 - self.mask)

    def camera(self, cameras: CameraConfig) -> Cameras:
        """Where it was taken from: in front, at the `distance` and with the `fov_y` of a run's cameras."""
        numbers = (0.0, self.config.elevation, cameras.distance, cameras.fov_y)
        return Cameras(*(torch.tensor([n]) for n in numbers))

    def at(self, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Colours [1, 3, side, side] and mask [1, 1, side, side]; colours are averaged over the object alone."""
        key = side, torch.device(device)
        if key not in self._sized:
            with torch.inference_mode(False), torch.no_grad():
                sized = (self.rgb, self.mask)
                sized = sized if side == self.rgb.shape[-1] else shrunk(*sized, side, side)
                self._sized[key] = to_device(sized[0], device), to_device(sized[1], device)
        return self._sized[key]


def shrunk(rgb: Tensor, mask: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Colours [1, 3, height, width] and mask [1, 1, height, width]; colours are averaged over the object alone."""
    how = {"size": (height, width), "mode": "bilinear", "antialias": True, "align_corners": False}
    covered = F.interpolate(mask, **how)
    return F.interpolate(rgb * mask, **how) / covered.clamp(min=EMPTY), covered


def framed(
    rgb: Tensor,  # [1, 3, H, W] in [0, 1]
    mask: Tensor,  # [1, 1, H, W] in [0, 1], 1 on the object
    config: ReferenceConfig,
) -> Reference:
    """The reference of a picture of any shape: a square around the object, of which it fills `config.fill`; with 0 the
    largest square around the picture's middle.

    Raises:
        ValueError: there is no object in the mask, or it covers nearly all of the border: then the object is not in the
            picture as a whole, or the mask marks the background.
    """
    solid = mask[0, 0] > 0.5
    if not solid.any():
        raise ValueError(
            "There is no object in the picture: the mask is empty. Give a picture whose background is transparent, or "
            "a mask of the object."
        )
    border = torch.cat([solid[0], solid[-1], solid[:, 0], solid[:, -1]]).float().mean()
    if border > FULL_BORDER:
        raise ValueError(
            f"The object covers {100 * border:.0f} % of the picture's border, so nothing says where it ends. Give a "
            "picture whose background is transparent, or connect a mask; invert a mask that marks the object."
        )
    height, width = solid.shape
    if config.fill == 0:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
    else:
        rows, columns = (solid.any(dim).nonzero()[:, 0] for dim in (1, 0))
        (y0, y1), (x0, x1) = ((int(i[0]), int(i[-1]) + 1) for i in (rows, columns))
        side = round(max(y1 - y0, x1 - x0) / config.fill)
        top, left = (y0 + y1 - side) // 2, (x0 + x1 - side) // 2
    if side > MAX_SIDE + 1:  # before the frame is filled up, which may be many times the picture
        scale = MAX_SIDE / side
        return framed(*shrunk(rgb, mask, max(1, round(height * scale)), max(1, round(width * scale))), config)
    edges = (-left, left + side - width, -top, top + side - height)  # negative ones cut
    return Reference(F.pad(rgb, edges), F.pad(mask, edges), config)


def reference_losses(reference: Reference, scene: Scene, cameras: CameraConfig, side: int) -> dict[str, Tensor]:
    """Weighted losses [] of the reference view, rendered at `side` pixels without light or random background. A loss
    of weight 0 is left out."""
    config, device = reference.config, next(scene.parameters()).device
    seen = scene.render(reference.camera(cameras).to(device), side, side)
    return view_losses(seen, *reference.at(side, device), config)


def view_losses(
    seen: RenderOutput,
    rgb: Tensor,  # [1, 3, H, W]
    mask: Tensor,  # [1, 1, H, W]
    config: ReferenceConfig,
) -> dict[str, Tensor]:
    """Mean over all pixels of mask (seen - rgb)^2 and of (opacity - mask)^2, each times its weight.

    Colours count where the object is: whatever stands behind the scene has none to keep.
    """
    losses = {}
    if config.rgb_weight > 0:
        losses["reference_rgb"] = config.rgb_weight * (mask * (seen.rgb - rgb) ** 2).mean()
    if config.mask_weight > 0:
        losses["reference_mask"] = config.mask_weight * ((seen.opacity - mask) ** 2).mean()
    return losses


def check_reference(reference: Reference | None, scene: Scene) -> None:
    """Raise ValueError for a reference view of a scene that has no views."""
    if reference is not None and not scene.uses_cameras:
        raise ValueError(
            "A reference picture is a view of an object, but a picture has no views. Use a 3D scene, or text prompts."
        )
