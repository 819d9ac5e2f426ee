"""Distillation in latents and pixels of HiFA (arXiv:2305.18766)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import FROM_TARGET, MEASURED
from . import shared
from .base import GuidanceInputs, GuidanceOutput
from .sds import SDS, SDSConfig, cfg_direction
from .spec import MethodSpec
from .weighting import weight

AUTHORS = "HiFA, arXiv:2305.18766, threestudio's hifa.yaml"
FALLING = {  # the timestep is not drawn
    "optim.timesteps.draw": Setting("highest", AUTHORS),
    "optim.timesteps.anneal": Setting("sqrt", AUTHORS),
    "optim.timesteps.t_max_end": Setting(0.3, AUTHORS),
    "optim.timesteps.anneal_end": Setting(1.0, f"{AUTHORS}: over the run"),
}
ON_LATENTS = {"guidance.pixel_scale": Setting(0.0, "ours: latents have no pixels for this gradient")}


@dataclass(frozen=True, kw_only=True)
class HiFAConfig:
    """The authors do not draw the timestep: it falls with the root of the progress (TimestepConfig)."""

    guidance_scale: float = shared.scale(101.0, at_least=0.0)  # s; hifa.yaml: 100, counted as SDS is there
    pixel_scale: float = setting(  # hifa.yaml: 0.01
        0.01,
        "Weight of the pull on the pictures. Lower it if the result over-saturates; 0 is SDS.",
        at_least=0.0,
        high=1.0,
        step=0.01,
    )
    weighting: str = shared.weighting("sigma2")

    def __post_init__(self) -> None:
        check_settings(self)


class HiFA:
    """SDS on the latents, and the same on the pictures I, towards the decoded estimate of the clean pictures:

    pixel_grad = pixel_scale w(t) (alpha / sigma) [I - decode(x_0)],  x_0 = x - (sigma / alpha) (eps_cfg - noise)

    SDS itself is w(t) (alpha / sigma) [x - x_0]. Nothing is differentiated through the decoder. The authors'
    third part, the variance of the depth along rays, belongs to the scene and is not here.
    """

    def __init__(self, config: HiFAConfig | None = None) -> None:
        self.config = c = config or HiFAConfig()
        self._sds = SDS(SDSConfig(guidance_scale=c.guidance_scale, weighting=c.weighting))

    def required(self, progress: float) -> tuple[str, ...]:
        return self._sds.required(progress)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        return self._sds(inputs)

    def decodes(self, progress: float) -> bool:
        return self.config.pixel_scale > 0

    def pixel_grad(
        self, inputs: GuidanceInputs, latents: Tensor, images: Tensor, decode: Callable[[Tensor], Tensor]
    ) -> Tensor:
        config, a_bar = self.config, inputs.alphas_cumprod.view(-1, 1, 1, 1)
        direction, _ = cfg_direction(inputs.eps, inputs.noise, config.guidance_scale)
        ratio = (a_bar / (1 - a_bar)).sqrt()
        estimate = latents - direction / ratio
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        return (config.pixel_scale * w_t * ratio * (images - decode(estimate))).detach()


SPEC = MethodSpec(
    name="hifa",
    label="HiFA",
    method=HiFA,
    config=HiFAConfig,
    summary="HiFA: SDS, plus a pull of the pictures towards the decoded estimate",
    equation="w(t) [eps_cfg(s) - noise], and on the pictures: c w(t) (alpha / sigma) [I - decode(x_0)]",
    paper="HiFA, arXiv:2305.18766",
    evaluations="2 (1 at s = 0 or s = 1), and a decoding",
    description="HiFA: SDS, plus a pull of the pictures themselves towards the model's decoded estimate.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(101.0, f"{AUTHORS}: 100, {FROM_TARGET}"),
            "guidance.pixel_scale": Setting(0.01, AUTHORS),
            **FALLING,
        },
        (PUBLISHED, "latent"): ON_LATENTS,
        (PUBLISHED, "nerf"): {"optim.n_steps": Setting(25_000, AUTHORS)},
        (DEMO, ""): {"guidance.guidance_scale": Setting(7.5, MEASURED), **FALLING},
        (DEMO, "latent"): ON_LATENTS,
        (DEMO, "nerf"): {"optim.latent_until": Setting(0.0, "ours: HiFA compares pixels from the first step on")},
    },
)
