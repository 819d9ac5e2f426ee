"""Settings of the optimisation loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..guidance.timesteps import TimestepConfig
from ..settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    n_steps: int = setting(300, meaning="optimiser steps", at_least=1)
    views_per_step: int = setting(4, meaning="camera views rendered per step (3D scenes)", at_least=1)
    size: int = setting(64, meaning="pixels of a rendered view; a multiple of the prior's spatial factor", at_least=1)
    start_size: int | None = setting(  # at most size
        None,
        meaning="pixels of a view at first, doubled until size is reached (3D scenes); null: size",
        at_least=8,
    )
    full_size_from: float = setting(
        0.5, meaning="progress from which on views have their full size", above=0.0, at_most=1.0
    )
    latent_until: float = setting(
        0.0,
        meaning="progress until which 3D scenes are rendered as latent cells, with fewer rays and without the encoder",
        at_least=0.0,
        at_most=1.0,
    )
    encode_size: int | None = setting(  # threestudio renders 64 and encodes 512
        None, meaning="pixels to which views are enlarged before they are encoded; null: size", at_least=1
    )
    lr: float = setting(0.02, meaning="base learning rate; scenes derive their groups' rates from it", above=0.0)
    lr_end: float = setting(
        1.0,
        meaning="part of lr that is left at the end: it falls exponentially over the second half",
        above=0.0,
        at_most=1.0,
    )
    optimizer: str = setting(  # a name in optim.loop.OPTIMIZERS
        "auto", meaning="name of an optimiser, or auto: adam for fields, shared_adam for pictures"
    )
    beta1: float = setting(0.9, meaning="of Adam: how long it remembers the gradient", at_least=0.0, below=1.0)
    beta2: float = setting(0.99, meaning="of Adam: how long it remembers its size", at_least=0.0, below=1.0)
    # what is seen gets gradients of 1e-5 and more. Cells of a field that no ray reaches get noise of 1e-8 to 1e-6, and
    # with the usual 1e-8 they would walk at full step and eat holes into what is hidden
    eps: float = setting(3e-6, meaning="of Adam: gradients much smaller than this move nothing")
    normalize_grad: bool = setting(
        True,
        meaning="divide the guidance gradient by its RMS: of each picture alone, of all views of an object together",
    )
    reuse_steps: int = setting(
        1,
        meaning="pictures only, an approximation: noise and timesteps stay for so many steps, and all conditions but "
        "the target are evaluated in the first of them only; 1 is exact",
        at_least=1,
    )
    seed: int = setting(0, meaning="cameras, timesteps, noise and initialisation all follow from it")
    timestep_seed: int | None = setting(
        None, meaning="of the timesteps alone, to vary them against the rest; null: seed"
    )
    max_bad_steps: int = setting(10, meaning="consecutive non-finite gradients before giving up", at_least=1)
    timesteps: TimestepConfig = field(default_factory=TimestepConfig)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.start_size is not None and self.start_size > self.size:
            raise ValueError(f"start_size must lie in [8, size = {self.size}] or be None, got {self.start_size}.")

    @property
    def draw_seeds(self) -> tuple[int, int]:
        """The seeds of everything and of the timesteps."""
        return self.seed, self.seed if self.timestep_seed is None else self.timestep_seed
