"""What the loop and the exporters ask of a scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..cameras.pose import Cameras


@dataclass(frozen=True)
class RenderOutput:
    """Renders of B views.

    Args:
        rgb: [B, 3, H, W] in [0, 1] (for a latent scene: a cheap stand-in, see `latents`).
        opacity, depth: [B, 1, H, W]; depth in world units along the ray, 0 where nothing is.
        normal: [B, 3, H, W] unit vectors in world space, or None where it was not asked for.
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


class Scene(Protocol):
    """A differentiable picture or object. Implementations are nn.Modules, so they checkpoint themselves."""

    config: Any  # the frozen dataclass it was made from; the class can be called with it again
    uses_cameras: bool  # False for pictures: they have `n_images` views of their own and no view words

    # what nn.Module gives each of them
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> Mapping[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def to(self, device: torch.device | str) -> Any: ...
    def cpu(self) -> Any: ...

    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,  # of what training draws (jitter, light); None: nothing
        with_normal: bool = False,
    ) -> RenderOutput: ...

    def parameter_groups(self, lr: float) -> list[dict]:
        """Parameter groups for torch.optim, each with its own learning rate derived from `lr`."""
        ...

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; the loop adds them up. Empty for image scenes."""
        ...


@runtime_checkable
class ShrinkingScene(Protocol):
    """A scene that can render the same pictures in less memory, more slowly."""

    def shrink(self) -> bool:
        """Use less memory from now on; False where that is as little as it can be."""
        ...


@runtime_checkable
class Scene3D(Scene, Protocol):
    """A scene with volume: it can be exported as a mesh."""

    bound: float  # the scene lives in the cube [-bound, bound]^3

    def density(self, points: Tensor) -> Tensor:
        """Densities [N] >= 0 at points [N, 3]."""
        ...

    def albedo(self, points: Tensor) -> Tensor:
        """Base colours [N, 3] in [0, 1] at points [N, 3]."""
        ...


@runtime_checkable
class AdaptiveScene(Protocol):
    """A scene that changes in other ways than by gradients."""

    def adapt(self, optimizer: torch.optim.Optimizer, step: int, n_steps: int) -> None:
        """Called before each step renders, once the learning rates of the step are set; it may change these, too.
        Parameters keep their shapes, and what happens is a function of them, the optimiser's state and the step,
        so that a resumed run goes on exactly."""
        ...
