"""Classifier score distillation (arXiv:2310.19415).

The classifier direction alone: SDS without its residual, so the drawn noise is not in the gradient.
With a negative prompt the direction moves from "away from everything" to "away from the negative":

    eps_target + (n - 1) eps_uncond - n eps_negative  =  (1 - n) delta_cls + n delta_gnp

with n annealed over the run. There is no guidance scale: nothing else stands beside the direction.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import PUBLISHED, Setting, check_settings, setting
from ..sources import CSD_3D
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight


@dataclass(frozen=True, kw_only=True)
class CSDConfig:
    """The defaults are the authors' coarse stage; their refining stage has n from 1 to 0.5 over the whole run."""

    negative_start: float = setting(  # n at the start
        0.0, "Share of the negative prompt at the start; 0 leaves it out.", at_least=0.0, high=10.0, step=0.05
    )
    negative_end: float = setting(  # n from anneal_end on
        1.0, "Share of the negative prompt later; 1 leaves the empty prompt out.", at_least=0.0, high=10.0, step=0.05
    )
    anneal_end: float = shared.part(  # progress; 0 = at once
        0.5, "When the share reaches its end value, as a fraction of the run.", step=0.05
    )
    weighting: str = shared.weighting("uniform")  # the refining stage: sigma2

    def __post_init__(self) -> None:
        check_settings(self)


class CSD:
    """grad = w(t) [(1 - n) (eps_target - eps_uncond) + n (eps_target - eps_negative)], n annealed over the run."""

    def __init__(self, config: CSDConfig | None = None) -> None:
        self.config = config or CSDConfig()

    def negative_weight(self, progress: float) -> float:
        """n at this progress."""
        config = self.config
        way = min(progress / config.anneal_end, 1.0) if config.anneal_end > 0 else 1.0
        return (1 - way) * config.negative_start + way * config.negative_end

    def required(self, progress: float) -> tuple[str, ...]:
        n = self.negative_weight(progress)
        return ("target", *(("uncond",) if n != 1 else ()), *(("negative",) if n > 0 else ()))

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        n, eps = self.negative_weight(inputs.progress), inputs.eps
        parts = {}
        if n != 1:
            parts["delta_cls"] = (1 - n, directions.delta_cls(eps["target"], eps["uncond"]))
        if n > 0:
            parts["delta_gnp"] = (n, directions.delta_gnp(eps["target"], eps["negative"]))
        direction = sum(share * term for share, term in parts.values())
        w_t = weight(self.config.weighting, inputs.alphas_cumprod)
        terms = {name: term for name, (_, term) in parts.items()}
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


SPEC = MethodSpec(
    name="csd",
    label="CSD",
    method=CSD,
    config=CSDConfig,
    summary="Classifier Score Distillation: the classifier direction alone, then away from a negative prompt",
    equation="w(t) [(1 - n) (eps_target - eps_uncond) + n (eps_target - eps_negative)],  n annealed",
    paper="Text-to-3D with Classifier Score Distillation, arXiv:2310.19415",
    evaluations="2 (3 while n is neither 0 nor 1)",
    description="Classifier Score Distillation: follows the prompt's direction alone, and later moves away from a "
    "negative prompt.",
    prompts="Prompts with a generic negative (GNP), unless both shares below are 0.",
    presets={
        (PUBLISHED, ""): {
            "guidance.negative_start": Setting(0.0, CSD_3D),
            "guidance.negative_end": Setting(1.0, CSD_3D),
            "guidance.anneal_end": Setting(0.5, f"{CSD_3D}: over 5000 of 10 000 steps"),
            "guidance.weighting": Setting("uniform", CSD_3D),
        },
    },
)
