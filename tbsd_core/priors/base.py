"""The protocol of a diffusion prior for the optimisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..settings import check_settings, setting
from .schedule import NoiseSchedule

Condition = Any
"""One encoded prompt. Only the prior that made it looks inside (an embedding, log weights, a CONDITIONING)."""


@dataclass(frozen=True, eq=False)
class Hinted:
    """A condition together with the hint that a ControlNet gets for its sample.

    Args:
        hint: [3, H, W] in [0, 1], of any size.
        strength: factor of the ControlNet's residuals; the same for all samples of a call.
    """

    condition: Condition
    hint: Tensor
    strength: float = 1.0


def split_hints(rows: Sequence[Condition]) -> tuple[list[Condition], Tensor | None, float]:
    """The plain conditions of some samples, their hints [n, 3, H, W] or None, and the strength.

    Raises:
        ValueError: only some of them have a hint.
    """
    hinted = [row for row in rows if isinstance(row, Hinted)]
    if not hinted:
        return list(rows), None, 0.0
    if len(hinted) < len(rows):
        raise ValueError(f"{len(hinted)} of the {len(rows)} conditions of a forward have hints: give them to all.")
    return [h.condition for h in hinted], torch.stack([h.hint for h in hinted]), hinted[0].strength


@dataclass(frozen=True, eq=False)
class Viewed:
    """A condition together with the camera of its sample, for a prior that is told cameras (`takes_cameras`).

    Args:
        azimuth, elevation: degrees, as in cameras/pose.py; azimuth 0 looks at the front.
    """

    condition: Condition
    azimuth: float
    elevation: float


def split_views(rows: Sequence[Condition], group: int) -> tuple[list[Condition], tuple[Tensor, Tensor] | None]:
    """The plain conditions of some samples, and the azimuths and elevations [n] of their cameras, or None.

    Raises:
        ValueError: only some of them have a camera, or they do not form whole groups of `group` views.
    """
    viewed = [row for row in rows if isinstance(row, Viewed)]
    if not viewed:
        return list(rows), None
    if len(viewed) < len(rows):
        raise ValueError(f"{len(viewed)} of the {len(rows)} conditions of a forward have cameras: give them to all.")
    if len(rows) % group:
        raise ValueError(
            f"This prior sees {group} views of an object at once, got {len(rows)}: give it whole groups, or conditions "
            "without cameras."
        )
    angles = torch.tensor([(v.azimuth, v.elevation) for v in viewed])
    return [v.condition for v in viewed], (angles[:, 0], angles[:, 1])


def without_views(rows: Sequence[Condition]) -> list[Condition]:
    """The same conditions as they are for single pictures."""
    return [row.condition if isinstance(row, Viewed) else row for row in rows]


class Prior(Protocol):
    """A frozen text-to-image diffusion model in the VP convention x_t = alpha_t x_0 + sigma_t noise."""

    schedule: NoiseSchedule
    spatial_factor: int  # image pixels per latent cell
    latent_channels: int

    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B] long, timestep indices
        conditions: Sequence[Sequence[Condition]],  # K conditions, each a list of B (one per sample)
    ) -> list[Tensor]:
        """K noise predictions [B, C, h, w] float32 from ONE batched forward, without gradient."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, C, h, w] float32 of images [B, 3, H, W] in [0, 1]; differentiable."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] of latents, without gradient."""
        ...


class TextPrior(Prior, Protocol):
    """A prior that also reads text (in ComfyUI the CLIP node does that instead)."""

    def encode_prompt(self, text: str) -> Condition:
        """Encode one prompt. Raises ValueError naming what it does not understand."""
        ...


@runtime_checkable
class ControlledPrior(Protocol):
    """A prior with a ControlNet, or a place for one: it takes Hinted conditions, in predictions and in a LoRA's."""

    hint_kind: str  # the kind of hint that its ControlNet was trained on, "depth" or "normal"; "" while it has none


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    rank: int = setting(  # threestudio and diffusers use 4
        4,
        "Size of the LoRA that learns what the renders look like. It is dropped after the run.",
        at_least=1,
        high=128,
        widget="lora_rank",
    )
    lr: float = setting(  # of AdamW; prolificdreamer.yaml
        1e-4,
        "Learning rate of the LoRA. Raise it if the result stays as saturated as with SDS.",
        above=0.0,
        low=0.000001,
        high=0.1,
        step=0.00001,
        widget="lora_lr",
    )
    camera_dropout: float = setting(  # prolificdreamer.yaml
        0.1, meaning="share of training samples without their pose", at_least=0.0, at_most=1.0
    )

    def __post_init__(self) -> None:
        check_settings(self)


class Adapter(Protocol):
    """A trainable copy of a prior's score, an nn.Module; its own methods are in priors/lora.py."""

    config: LoRAConfig

    # inherited from nn.Module
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def predict_noise(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None
    ) -> Tensor: ...

    def training_loss(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None, noise: Tensor
    ) -> Tensor: ...


@runtime_checkable
class AdaptablePrior(Protocol):
    """A prior with a network that can be fine-tuned beside it, while the prior itself stays as it is."""

    def make_adapter(self, config: LoRAConfig, seed: int) -> Adapter: ...


@runtime_checkable
class GroupPrior(Protocol):
    """A prior that can see several views of one object together, so that they agree (MVDream, arXiv:2308.16512).

    Views whose conditions are Viewed come in whole groups, one after the other, each with one timestep; every condition
    of a forward has its own. Samples with plain conditions are single pictures to it.
    """

    views_per_group: int  # 1 where it has not been told of cameras


def views_per_group(prior: Prior) -> int:
    """How many views of an object a prior sees together; 1 for most."""
    return prior.views_per_group if isinstance(prior, GroupPrior) else 1


@runtime_checkable
class CameraPrior(Protocol):
    """A prior whose predictions depend on the camera of each view, as Zero-1-to-3's (arXiv:2303.11328) do."""

    takes_cameras: bool  # whether samples of a 3D scene have Viewed conditions


def takes_cameras(prior: Prior) -> bool:
    """Whether a prior is told the cameras of the views; all are that see them in groups."""
    return views_per_group(prior) > 1 or (isinstance(prior, CameraPrior) and prior.takes_cameras)


def whole_groups(at_once: int, group: int) -> int:
    """At most `at_once` samples, but at least one group, as a multiple of it; 0, which stands for all, stays."""
    return at_once and max(group, at_once // group * group)


@runtime_checkable
class RecomputingPrior(Protocol):
    """A prior whose encoder can recompute in backward what it otherwise keeps until then: the same gradient."""

    recompute_encoder: bool


@runtime_checkable
class FlowPrior(Protocol):
    """A prior that says whether its network was trained as a flow, on velocities noise - x_0."""

    is_flow: bool
