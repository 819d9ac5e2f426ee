"""Classifier score distillation (arXiv:2310.19415).

The classifier direction alone: SDS without its residual, so the drawn noise is not in the gradient.
With a negative prompt the direction moves from "away from everything" to "away from the negative":

    eps_target + (n - 1) eps_uncond - n eps_negative  =  (1 - n) delta_cls + n delta_gnp

with n annealed over the run. There is no guidance scale: nothing else stands beside the direction.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import directions
from .base import GuidanceInputs, GuidanceOutput
from .weighting import check_weighting, weight


@dataclass(frozen=True, kw_only=True)
class CSDConfig:
    """The defaults are the authors' coarse stage; their refining stage has n from 1 to 0.5 over the whole run."""

    negative_start: float = 0.0  # n at the start, >= 0; 0 leaves the negative out
    negative_end: float = 1.0  # n from anneal_end on, >= 0; 1 leaves the empty prompt out
    anneal_end: float = 0.5  # progress at which n has gone from start to end, in [0, 1]; 0 = at once
    weighting: str = "uniform"  # w(t), a name in weighting.WEIGHTINGS; the refining stage: sigma2

    def __post_init__(self) -> None:
        for name in ("negative_start", "negative_end"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}.")
        if not 0 <= self.anneal_end <= 1:
            raise ValueError(f"anneal_end must be in [0, 1], got {self.anneal_end}.")
        check_weighting(self.weighting)


class CSD:
    """grad = w(t) [(1 - n) (eps_target - eps_uncond) + n (eps_target - eps_negative)], n annealed over the run."""

    summary = "Classifier Score Distillation: the classifier direction alone, then away from a negative prompt"
    equation = "w(t) [(1 - n) (eps_target - eps_uncond) + n (eps_target - eps_negative)],  n annealed"
    paper = "Text-to-3D with Classifier Score Distillation, arXiv:2310.19415"
    evaluations = "2 (3 while n is neither 0 nor 1)"

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
