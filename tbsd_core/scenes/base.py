"""The protocol of a scene for the loop and the exporters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..cameras.pose import Cameras
from .kept import Kept, check_kept, kept_of


@dataclass(frozen=True)
class RenderOutput:
    """Renders of B views.

    Args:
        rgb: [B, 3, H, W] in [0, 1] (for a latent scene: a cheap stand-in, see `latents`).
        opacity, depth: [B, 1, H, W]; depth in world units along the ray, 0 where nothing is.
        normal: [B, 3, H, W] unit vectors in world space, or None if it was not asked for.
        latents: [B, C, h, w] when the scene lives in the prior's latent space; the loop then skips encoding.
        penalties: scalars that can only be computed while rendering, by name, unweighted; empty where no weight asks
            for them.
    """

    rgb: Tensor
    opacity: Tensor
    depth: Tensor
    normal: Tensor | None = None
    latents: Tensor | None = None
    penalties: Mapping[str, Tensor] = field(default_factory=dict)


class Scene(nn.Module, ABC):
    """A differentiable picture or object.

    Args:
        config: the frozen dataclass that describes it; the class can be called with it again.
    """

    uses_cameras: ClassVar[bool] = True  # False for pictures: they have views of their own and no view words
    fixed_geometry: ClassVar[bool] = False  # of a 3D scene: only its colours are optimised
    n_images: int = 0  # of a scene of pictures, how many it holds
    attached: Mapping[str, Tensor]  # what travels with it, on the CPU; part of no state, as nothing changes it

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.attached = {}
        self.kept: Kept | None = None

    def attach(self, tensors: Mapping[str, Tensor]) -> None:
        """Take attachments that travel with the scene and replace the old ones. Raises ValueError for attachments that
        it cannot have."""
        check_kept(type(self).__name__, tensors, self.attachable())
        self.attached = dict(tensors)
        self.kept = kept_of(tensors)

    def attachable(self) -> dict[str, tuple[int, ...]]:
        """Shapes, by name, of the tensors that keep the parts a run may not change (scenes.kept); {}: nothing can be
        kept."""
        return {}

    @abstractmethod
    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,  # of what training draws (jitter, light); None: nothing
        with_normal: bool = False,  # whoever asks relies on it; pictures have none
        progress: float = 1.0,  # of the run, in [0, 1): what training draws may be on a schedule
    ) -> RenderOutput: ...

    @abstractmethod
    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Parameter groups for torch.optim, each with its own learning rate derived from `lr`."""

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; the loop adds them up."""
        return {}


class PictureScene(Scene):
    """Independent pictures side by side, as many as the config's `n_images`: nothing is seen from anywhere else."""

    uses_cameras = False

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.n_images = config.n_images

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """One group, in which each picture is optimised for itself; see SharedAdam."""
        return [{"params": list(self.parameters()), "lr": lr, "per_row": True}]

    def as_render(self, cameras: Cameras, rgb: Tensor, latents: Tensor | None = None) -> RenderOutput:
        """The pictures [n_images, 3, H, W] in place of camera views. Raises ValueError for another number of
        cameras."""
        if len(cameras) != self.n_images:
            raise ValueError(
                f"{type(self).__name__} holds {self.n_images} image(s) but was given {len(cameras)} camera(s): use as "
                "many cameras as images."
            )
        ones = torch.ones_like(rgb[:, :1])
        return RenderOutput(rgb=rgb, opacity=ones, depth=torch.zeros_like(ones), latents=latents)


class Scene3D(Scene):
    """A scene with volume: it can be exported as a mesh."""

    bound: float  # the scene lives in the cube [-bound, bound]^3

    @abstractmethod
    def density(self, points: Tensor) -> Tensor:
        """Densities [N] >= 0 at points [N, 3]."""

    @abstractmethod
    def albedo(self, points: Tensor) -> Tensor:
        """Base colours [N, 3] in [0, 1] at points [N, 3]."""


@runtime_checkable
class ShrinkingScene(Protocol):
    """A scene that can render the same pictures in less memory, more slowly."""

    def shrink(self) -> bool:
        """Use less memory from now on; False if it is as little as it can be."""
        ...


@runtime_checkable
class AdaptiveScene(Protocol):
    """A scene that changes in other ways than by gradients."""

    def adapt(self, optimizer: torch.optim.Optimizer, step: int, n_steps: int) -> None:
        """Called before each step renders, once the learning rates of the step are set; it may change these, too.
        Parameters keep their shapes, and what happens is a function of them, the optimiser's state and the step,
        so that a resumed run continues exactly."""
        ...
