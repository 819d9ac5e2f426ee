"""Noise-free score distillation (arXiv:2310.17590)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..settings import PUBLISHED, Setting, check_settings
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight

PAPER = "NFSD, arXiv:2310.17590"


@dataclass(frozen=True, kw_only=True)
class NFSDConfig:
    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # of the classifier direction; the paper: as in sampling
    clean_below: float = shared.part(  # the paper: 200 of 1000
        0.2, "Timesteps below this fraction of the schedule count as free of noise."
    )
    weighting: str = shared.weighting("sigma2")

    def __post_init__(self) -> None:
        check_settings(self)


class NFSD:
    """grad = w(t) [s delta_cls + delta_D], delta_D = eps_uncond below t = 200, eps_uncond - eps_negative above.

    The paper splits eps_uncond into a correction of the picture and the noise that was added to it. At
    little noise the second part is small; elsewhere a prediction for bad pictures, whose correction is
    small, stands for it and is subtracted. The drawn noise is not in the gradient.
    """

    def __init__(self, config: NFSDConfig | None = None) -> None:
        self.config = config or NFSDConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return (*(("target",) if self.config.guidance_scale > 0 else ()), "uncond", "negative")

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        # per sample: the timesteps of a batch may lie on both sides
        is_clean = (inputs.t < config.clean_below * inputs.n_timesteps).view(-1, 1, 1, 1)
        terms = {"delta_domain": torch.where(is_clean, eps["uncond"], eps["uncond"] - eps["negative"])}
        direction = terms["delta_domain"]
        if config.guidance_scale > 0:
            terms["delta_cls"] = directions.delta_cls(eps["target"], eps["uncond"])
            direction = direction + config.guidance_scale * terms["delta_cls"]
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


SPEC = MethodSpec(
    name="nfsd",
    label="NFSD",
    method=NFSD,
    config=NFSDConfig,
    summary="Noise-Free Score Distillation: SDS that estimates the noise in its residual and removes it",
    equation="w(t) [s (eps_target - eps_uncond) + delta_D],  delta_D = eps_uncond - (t < 200 ? 0 : eps_negative)",
    paper="Noise-Free Score Distillation, arXiv:2310.17590",
    evaluations="3",
    description="Noise-Free Score Distillation: SDS that estimates its noise with a negative prompt and removes it.",
    prompts="Prompts with a generic negative (GNP), from Target Negative Prompt.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, PAPER),
            "guidance.clean_below": Setting(0.2, f"{PAPER}: 200 of 1000"),
        },
    },
)
