"""Interval score matching of LucidDreamer (arXiv:2311.11284)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..priors.schedule import NoiseSchedule
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import MEASURED
from ..transfer import all_to_device
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput, Predict, Trajectory
from .ddim import ddim_step, n_steps_up, walk_up
from .sds import cfg_conditions, cfg_direction
from .spec import MethodSpec
from .weighting import weight

AUTHORS = "LucidDreamer, arXiv:2311.11284, the authors' configs"


@dataclass(frozen=True, kw_only=True)
class ISMConfig:
    """Lengths are parts of the schedule; the defaults are the authors', of 1000 timesteps."""

    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # s of the prior at x_t; the authors: 7.5
    baseline: str = setting(  # uncond (the paper) or negative (the authors' configs)
        "uncond",
        "The prompt to compare with: the empty prompt or the generic negative.",
        choices=("uncond", "negative"),
    )
    stride: float = shared.part(  # of the inversion up to x_s; the authors: 200
        0.2,
        "Step size of the DDIM inversion, as a fraction of the schedule. Larger is faster and coarser.",
        above=0.0,
        low=0.01,
    )
    interval: float = shared.part(  # from x_s to x_t; the authors: 25, 50 or 80 by prompt
        0.05, "Distance between the two noise levels at the end, as a fraction of the schedule.", above=0.0, low=0.001
    )
    interval_start: float = shared.part(  # the authors: 100
        0.1, "The same distance at the start of the run.", above=0.0, low=0.001
    )
    interval_anneal: float = shared.part(  # the authors: 1500 of 5000 steps
        0.3, "When the distance reaches its end value, as a fraction of the run."
    )
    weighting: str = shared.weighting("sigma_over_alpha")  # as in the authors' code

    def __post_init__(self) -> None:
        check_settings(self)


class ISM:
    """grad = w(t) [eps_cfg(x_t, t) - eps_uncond(x_s, s)], x_t reached from the render by DDIM inversion.

    The inversion uses the empty prompt. It begins at the least noise of the schedule, goes up to s in strides, and from
    s to t in one step, whose prediction is the reference. So the noise of two neighbouring levels cancels, and only the
    effect of the prompt between them remains.
    """

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
        """x_t, and the prediction at x_s instead of the noise."""
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


SPEC = MethodSpec(
    name="ism",
    label="ISM",
    method=ISM,
    config=ISMConfig,
    summary="Interval Score Matching: two neighbouring levels of the model's own trajectory instead of drawn noise",
    equation="w(t) [eps_cfg(s)(x_t, t) - eps_uncond(x_s, s)],  x_s, x_t by DDIM inversion of the render",
    paper="LucidDreamer, arXiv:2311.11284",
    evaluations="3 to 8: 2, 1 for the interval, and 1 for each 200 of 1000 timesteps below it",
    description="Interval Score Matching (LucidDreamer): compares two neighbouring noise levels of the model's own "
    "trajectory.",
    prompts="Prompts from Prompt Encode; with a generic negative (GNP) if the baseline is negative.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, AUTHORS),
            "guidance.baseline": Setting("negative", AUTHORS),
            "guidance.stride": Setting(0.2, f"{AUTHORS}: 200 of 1000"),
            "guidance.interval": Setting(0.05, f"{AUTHORS}: 25, 50 or 80 of 1000, by prompt"),
            "guidance.interval_start": Setting(0.1, f"{AUTHORS}: 100 of 1000"),
            "guidance.interval_anneal": Setting(0.3, f"{AUTHORS}: over 1500 of 5000 steps"),
            "guidance.weighting": Setting("sigma_over_alpha", AUTHORS),
            "optim.timesteps.t_max_end": Setting(0.5, AUTHORS),
            "optim.timesteps.anneal_end": Setting(0.3, f"{AUTHORS}: over 1500 of 5000 steps"),
        },
        # DreamGaussian's splats do not draw the noise level, and would see nothing below t_max_end
        (PUBLISHED, "gaussian"): {"optim.timesteps.draw": Setting("uniform", AUTHORS)},
        # without drawn noise the errors of the inversion add up: at 0.01 the background of "a brick house" fills with
        # spots
        (DEMO, "image"): {"optim.lr": Setting(0.005, MEASURED)},
    },
)
