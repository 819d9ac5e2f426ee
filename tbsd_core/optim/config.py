"""Settings of the optimisation loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..guidance.timesteps import TimestepConfig
from ..settings import check_settings, setting
from .normalization import NORMALIZATIONS
from .surface_noise import FRESH, NOISES


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    n_steps: int = setting(
        300,
        "Optimisation steps. More is better and slower; the demo models need 200 to 600.",
        at_least=1,
        widget="steps",
        high=100_000,
    )
    views_per_step: int = setting(
        4,
        "Views per step. More views make the run calmer, with less flicker, but slower, and need more memory.",
        at_least=1,
        high=64,
    )
    size: int = setting(
        64,
        "Width and height of a rendered picture. 64 for the demo models; 256 to 512 for Stable Diffusion 1.5.",
        meaning="pixels of a rendered view; a multiple of the prior's spatial factor",
        at_least=1,
        low=16,
        high=1024,
        step=8,
    )
    start_size: int | None = setting(
        None,
        "Size of the views in pixels at the start. It doubles until it reaches size halfway through the run: "
        "faster at first. 0 starts with size.",
        meaning="pixels of a view at first, doubled until size is reached (3D scenes); null, or size or more: size",
        at_least=8,
        none=0,
        low=0,
        high=1024,
        step=8,
        optional=True,
    )
    full_size_from: float = setting(
        0.5, meaning="progress from which on views have their full size", above=0.0, at_most=1.0
    )
    latent_until: float = setting(
        0.0,
        "Fraction of the run, from its start, that renders coarse latents without the VAE: faster steps while the "
        "shape forms. Try 0.5; 0 uses the VAE in every step.",
        meaning="progress until which 3D scenes are rendered as latent cells, with fewer rays and without the encoder",
        at_least=0.0,
        at_most=1.0,
        step=0.05,
        optional=True,
    )
    encode_size: int | None = setting(  # threestudio renders 64 and encodes 512
        None,
        meaning="pixels to which views are enlarged before they are encoded; null: the size that the model was trained "
        "at, or size where that is larger",
        at_least=1,
        none=0,
    )
    lr: float = setting(
        0.02,
        "Learning rate: how far each step goes. Halve it if the result flickers or burns out. Settings that are "
        "connected to the guidance node override it.",
        meaning="base learning rate; scenes derive their groups' rates from it",
        above=0.0,
        low=0.00001,
        high=1.0,
        step=0.001,
    )
    lr_end: float = setting(
        1.0,
        meaning="part of lr that is left at the end: it falls exponentially over the second half",
        above=0.0,
        at_most=1.0,
    )
    optimizer: str = setting(  # a name in optim.state.OPTIMIZERS
        "auto", meaning="name of an optimiser, or auto: adam for fields, shared_adam for pictures"
    )
    beta1: float = setting(0.9, meaning="of Adam: how long it remembers the gradient", at_least=0.0, below=1.0)
    beta2: float = setting(0.99, meaning="of Adam: how long it remembers its size", at_least=0.0, below=1.0)
    # what is seen gets gradients of 1e-5 and more. Cells of a field that no ray reaches get noise of 1e-8 to 1e-6, and
    # with the usual 1e-8 they would walk at full step and eat holes into what is hidden
    eps: float = setting(3e-6, meaning="of Adam: gradients much smaller than this move nothing")
    normalize_by: str = setting(
        "rms",
        meaning="what the guidance gradient is divided by: rms, of each picture alone and of all views of an object "
        "together; signal, for objects: the part of it that is not noise, against which regularisers are weighed; none",
        choices=NORMALIZATIONS,
    )
    reuse_steps: int = setting(
        1,
        "An approximation that saves time: keeps the noise for this many steps and evaluates the empty and the "
        "negative prompts only in the first of them. 1 is exact; 2 is a fifth faster and slightly worse.",
        meaning="pictures only, an approximation: noise and timesteps stay for so many steps, and all conditions but "
        "the target are evaluated in the first of them only; 1 is exact",
        at_least=1,
        high=16,
        optional=True,
    )
    seed: int = setting(0, meaning="cameras, timesteps, noise and initialisation all follow from it")
    timestep_seed: int | None = setting(
        None, meaning="of the timesteps alone, to vary them against the rest; null: seed"
    )
    noise: str = setting(
        FRESH,
        meaning="fresh: new in each step; surface: fixed to the object's surface, or to the pixels of a picture, so "
        "that all views and steps ask for the same detail",
        choices=NOISES,
    )
    max_bad_steps: int = setting(10, meaning="consecutive non-finite gradients before giving up", at_least=1)
    timesteps: TimestepConfig = field(default_factory=TimestepConfig)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def draw_seeds(self) -> tuple[int, int]:
        """The seeds of everything and of the timesteps."""
        return self.seed, self.seed if self.timestep_seed is None else self.timestep_seed
