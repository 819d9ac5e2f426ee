"""Interval score matching of LucidDreamer (arXiv:2311.11284)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..priors.schedule import NoiseSchedule
from ..transfer import all_to_device
from . import directions
from .base import GuidanceInputs, GuidanceOutput, Predict, Trajectory
from .ddim import ddim_step, n_steps_up, walk_up
from .sds import cfg_conditions, cfg_direction
from .weighting import check_weighting, weight

BASELINES = ("uncond", "negative")


@dataclass(frozen=True, kw_only=True)
class ISMConfig:
    """Lengths are parts of the schedule; the defaults are the authors', of 1000 timesteps."""

    guidance_scale: float = 7.5  # CFG weight s of the prior at x_t, >= 0; the authors: 7.5
    baseline: str = "uncond"  # what CFG moves away from: uncond (the paper) or negative (the authors' configs)
    stride: float = 0.2  # of the inversion up to x_s, in (0, 1]; the authors: 200
    interval: float = 0.05  # from x_s to x_t in the end, in (0, 1]; the authors: 25, 50 or 80 by prompt
    interval_start: float = 0.1  # the same at the start of the run; the authors: 100
    interval_anneal: float = 0.3  # progress at which the interval has its end value; the authors: 1500 of 5000 steps
    weighting: str = "sigma_over_alpha"  # w(t), a name in weighting.WEIGHTINGS; that of the authors' code

    def __post_init__(self) -> None:
        if not self.guidance_scale >= 0:
            raise ValueError(f"guidance_scale must be >= 0, got {self.guidance_scale}.")
        if self.baseline not in BASELINES:
            raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {self.baseline!r}.")
        for name in ("stride", "interval", "interval_start"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}.")
        if not 0 <= self.interval_anneal <= 1:
            raise ValueError(f"interval_anneal must be in [0, 1], got {self.interval_anneal}.")
        check_weighting(self.weighting)


class ISM:
    """grad = w(t) [eps_cfg(x_t, t) - eps_uncond(x_s, s)], x_t reached from the render by DDIM inversion.

    The inversion is told the empty prompt; it begins at the least noise of the schedule, goes up to s in
    strides, and from s to t in one step: the prediction of that step is what the other is compared with.
    So the noise of two neighbouring levels cancels, and what is left is what the prompt changes between them.
    """

    summary = "Interval Score Matching: two neighbouring levels of the model's own trajectory instead of drawn noise"
    equation = "w(t) [eps_cfg(s)(x_t, t) - eps_uncond(x_s, s)],  x_s, x_t by DDIM inversion of the render"
    paper = "LucidDreamer, arXiv:2311.11284"
    evaluations = "3 to 8: 2, 1 for the interval, and 1 for each 200 of 1000 timesteps below it"

    def __init__(self, config: ISMConfig | None = None) -> None:
        self.config = config or ISMConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return tuple(self.config.baseline if n == "uncond" else n for n in cfg_conditions(self.config.guidance_scale))

    def visited(self, progress: float) -> tuple[str, ...]:
        return ("uncond",)

    def interval(self, progress: float, n_timesteps: int) -> int:
        """Timesteps between x_s and x_t, at least 1."""
        c = self.config
        way = min(progress / c.interval_anneal, 1.0) if c.interval_anneal > 0 else 1.0
        return max(1, round(((1 - way) * c.interval_start + way * c.interval) * n_timesteps))

    def stride(self, n_timesteps: int) -> int:
        return max(1, round(self.config.stride * n_timesteps))

    def visits(self, progress: float, t: Tensor, n_timesteps: int) -> Tensor:
        s = (t - self.interval(progress, n_timesteps)).clamp_min(0)
        return n_steps_up(torch.zeros_like(s), s, self.stride(n_timesteps)) + 1

    def trajectory(
        self,
        latents: Tensor,
        noise: Tensor,
        t: Tensor,
        progress: float,
        schedule: NoiseSchedule,
        predict: Predict,
        generator: torch.Generator,
    ) -> Trajectory:
        """x_t, and the prediction at x_s in the place of the noise."""
        n = schedule.n_timesteps
        levels = torch.zeros_like(t), (t - self.interval(progress, n)).clamp_min(0), t
        first, s, last = all_to_device(levels, latents.device)

        def unprompted(x: Tensor, at: Tensor, samples: Tensor | None) -> Tensor:
            return predict(("uncond",), x, at, samples)["uncond"]

        x_0 = schedule.add_noise(latents, noise, first)
        x_s = walk_up(x_0, *levels[:2], self.stride(n), schedule, unprompted)
        eps_s = unprompted(x_s, s, None)
        return Trajectory(ddim_step(x_s, eps_s, schedule.at(s), schedule.at(last)), eps_s)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        if config.baseline in eps:
            eps = {**eps, "uncond": eps[config.baseline]}
        direction, terms = cfg_direction(eps, inputs.noise, config.guidance_scale)
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)
