"""Settings of the optimisation loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..guidance.timesteps import TimestepConfig


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    n_steps: int = 300  # optimiser steps, >= 1
    views_per_step: int = 4  # camera views rendered per step (3D scenes), >= 1
    size: int = 64  # pixels of a rendered view; a multiple of the prior's spatial factor
    start_size: int | None = None  # pixels of a view at first, doubled until size is reached (3D scenes); None = size
    full_size_from: float = 0.5  # progress from which on views have their full size, in (0, 1]
    # progress until which 3D scenes are rendered as latent cells, with fewer rays and without the encoder; in [0, 1]
    latent_until: float = 0.0
    # pixels to which views are enlarged before they are encoded (threestudio renders 64 and encodes 512); None = size
    encode_size: int | None = None
    lr: float = 0.02  # base learning rate; scenes derive their groups' rates from it
    lr_end: float = 1.0  # part of lr that is left at the end, in (0, 1]: it falls exponentially over the second half
    optimizer: str = "auto"  # a name in optim.loop.OPTIMIZERS, or auto: adam for fields, shared_adam for pictures
    beta1: float = 0.9
    beta2: float = 0.99
    # Adam's: what is seen gets gradients of 1e-5 and more. Cells of a field that no ray reaches get noise of 1e-8 to
    # 1e-6, and with the usual 1e-8 they would walk at full step and eat holes into what is hidden
    eps: float = 3e-6
    # divide the guidance gradient by its RMS: of each picture for itself, of all views of an object together
    normalize_grad: bool = True
    # pictures only, an approximation: noise and timesteps stay for so many steps, and all conditions but the target are
    # evaluated in the first of them only. 1 = exact
    reuse_steps: int = 1
    seed: int = 0  # cameras, timesteps, noise and initialisation all follow from it
    timestep_seed: int | None = None  # of the timesteps alone, to vary them against the rest; None = seed
    max_bad_steps: int = 10  # consecutive non-finite gradients before giving up
    timesteps: TimestepConfig = field(default_factory=TimestepConfig)

    def __post_init__(self) -> None:
        for name in ("n_steps", "views_per_step", "size", "max_bad_steps", "reuse_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.encode_size is not None and self.encode_size < 1:
            raise ValueError(f"encode_size must be at least 1 or None, got {self.encode_size}.")
        if self.start_size is not None and not 8 <= self.start_size <= self.size:
            raise ValueError(f"start_size must lie in [8, size = {self.size}] or be None, got {self.start_size}.")
        if not 0 < self.full_size_from <= 1:
            raise ValueError(f"full_size_from must lie in (0, 1], got {self.full_size_from}.")
        if not 0 <= self.latent_until <= 1:
            raise ValueError(f"latent_until must lie in [0, 1], got {self.latent_until}.")
        if not self.lr > 0:
            raise ValueError(f"lr must be > 0, got {self.lr}.")
        if not 0 < self.lr_end <= 1:
            raise ValueError(f"lr_end must lie in (0, 1], got {self.lr_end}.")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}.")

    @property
    def draw_seeds(self) -> tuple[int, int]:
        """The seeds of everything and of the timesteps."""
        return self.seed, self.seed if self.timestep_seed is None else self.timestep_seed
