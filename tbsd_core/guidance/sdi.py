"""Score distillation via inversion, "reparametrized DDIM" (arXiv:2405.15891)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..priors.schedule import NoiseSchedule
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import MEASURED
from ..transfer import all_to_device, to_device
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput, Predict, Trajectory
from .ddim import ddim_step, walk_up
from .sds import cfg_conditions, cfg_direction
from .spec import MethodSpec
from .timesteps import shared_in_groups
from .weighting import weight

AUTHORS_3D = "SDI, arXiv:2405.15891, its sdi.yaml"
AUTHORS_2D = "SDI, arXiv:2405.15891, its 2D script"
FALLING = {  # the timestep is not drawn
    "optim.timesteps.draw": Setting("highest", AUTHORS_3D),
    "optim.timesteps.t_max_end": Setting(0.02, AUTHORS_2D),
    "optim.timesteps.anneal_end": Setting(1.0, f"{AUTHORS_3D}: linear over the run"),
}


@dataclass(frozen=True, kw_only=True)
class SDIConfig:
    """The defaults come from the authors' sdi.yaml. They draw no timestep: it falls over the run, for all views."""

    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # s of the prior at x_t
    inversion_scale: float = setting(  # guidance scale on the way there, any number
        -7.5,
        "Guidance scale of the inversion. A negative value, as published, moves away from the prompt.",
        low=-100.0,
        high=100.0,
        step=0.5,
    )
    n_inversion_steps: int = setting(  # to t it takes its part of them
        10, "Inversion steps over the whole schedule. Each costs two predictions.", at_least=1, high=100
    )
    eta: float = shared.part(0.3, "Noise that the inversion adds. 0 is deterministic.")  # 1 is DDPM's
    overshoot: float = shared.part(
        1.0, "How far the inversion may go beyond the timestep, in steps."
    )  # drawn per sample

    def __post_init__(self) -> None:
        check_settings(self)
        if not math.isfinite(self.inversion_scale):
            raise ValueError(f"inversion_scale must be finite, got {self.inversion_scale}.")


class SDI:
    """grad = x - x_0(x_t, t), x_t = alpha x + sigma kappa, kappa the noise that inverts the render x by DDIM.

    As x_t is made with kappa, the gradient is (sigma / alpha) (eps_cfg - kappa): SDS whose noise is not drawn
    but is the one that the model itself would denoise into the render.
    """

    def __init__(self, config: SDIConfig | None = None) -> None:
        self.config = config or SDIConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return cfg_conditions(self.config.guidance_scale)

    def visited(self, progress: float) -> tuple[str, ...]:
        return cfg_conditions(self.config.inversion_scale)

    def visits(self, progress: float, t: Tensor, n_timesteps: int) -> Tensor:
        stride = self._stride(n_timesteps)
        return 2 + _last_level(t, stride) // stride

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
        """alpha_t x + sigma_t kappa, and kappa instead of the noise.

        From the clean render to the first level, from there in equal steps to the last one below t, and from that
        beyond t. kappa is the part of the noisy latents there that is not the render.
        """
        n, names = schedule.n_timesteps, self.visited(progress)
        stride = self._stride(n)
        beyond = shared_in_groups(torch.rand(len(t), generator=generator), predict.group)
        beyond = beyond * self.config.overshoot * stride
        start, way, end = torch.zeros_like(t), _last_level(t, stride), (t + beyond.floor().long()).clamp(1, n - 1)
        # as many as the longest way takes, so that a sample's draws do not depend on the other timesteps
        drawn = self.config.eta * torch.randn(n // stride + 2, *latents.shape, generator=generator)
        drawn = to_device(drawn, latents.device)
        first, at_t, at_end = all_to_device((start, t, end), latents.device)

        def guided(x: Tensor, at: Tensor, samples: Tensor | None) -> Tensor:
            eps = predict(names, x, at, samples)
            return cfg_direction(eps, torch.zeros_like(x), self.config.inversion_scale)[0]

        a_bar = schedule.at(first)  # and the render itself has no noise at all
        x = ddim_step(latents, guided(latents, first, None), torch.ones_like(a_bar), a_bar)
        x = walk_up(x, start, way, stride, schedule, guided, drawn)
        x = walk_up(x, way, end, n, schedule, guided, drawn[-1:])
        alpha, sigma = schedule.alpha_sigma(at_end)
        kappa = (x - alpha * latents) / sigma
        return Trajectory(schedule.add_noise(latents, kappa, at_t), kappa)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        direction, terms = cfg_direction(inputs.eps, inputs.noise, self.config.guidance_scale)
        w_t = weight("sigma_over_alpha", inputs.alphas_cumprod)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)

    def _stride(self, n_timesteps: int) -> int:
        return max(1, n_timesteps // self.config.n_inversion_steps)


def _last_level(t: Tensor, stride: int) -> Tensor:
    """The highest multiple [B] of `stride` below t; 0 if there is none."""
    return ((t - 1).clamp_min(0) // stride) * stride


SPEC = MethodSpec(
    name="sdi",
    label="SDI",
    method=SDI,
    config=SDIConfig,
    summary="Score Distillation via Inversion: SDS with the noise that the model itself finds in the render",
    equation="x - x_0(x_t) = (sigma / alpha) [eps_cfg(s)(x_t) - kappa],  kappa: noise of the render by DDIM inversion",
    paper="Score Distillation via Reparametrized DDIM, arXiv:2405.15891",
    evaluations="6 to 24: 2, and 2 for each of the inversion's steps, 1 more than 10 t / 1000 rounded up",
    description="Score Distillation via Inversion: SDS with the noise that the model itself finds in the render. Slow "
    "and detailed.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, AUTHORS_3D),
            "guidance.inversion_scale": Setting(-7.5, AUTHORS_3D),
            "guidance.n_inversion_steps": Setting(10, AUTHORS_3D),
            "guidance.eta": Setting(0.3, AUTHORS_3D),
            **FALLING,
        },
        (PUBLISHED, "latent"): {"optim.lr": Setting(0.1, AUTHORS_2D)},
        (PUBLISHED, "nerf"): {"optim.timesteps.t_max_end": Setting(0.25, AUTHORS_3D)},
        (DEMO, ""): FALLING,
        (DEMO, "image"): {"optim.lr": Setting(0.005, MEASURED)},  # as for ISM
    },
)
