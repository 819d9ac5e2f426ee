"""Score distillation as a bridge between two distributions of images (arXiv:2406.09417).

The second stage starts from what the renders are at that point, faulty pictures, and goes to what
they should be, good pictures of the target. Describing the start by the target and its faults is
TNP, by the faults alone GNP. Two stages, because the second alone forms poor shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import directions
from .base import GuidanceInputs, GuidanceOutput
from .sds import cfg_conditions, cfg_direction
from .weighting import check_weighting, weight

# the direction of stage 2 by the condition that describes the start
NEGATIVES = {"target_negative": ("delta_tnp", directions.delta_tnp), "negative": ("delta_gnp", directions.delta_gnp)}


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    guidance_scale: float = 25.0  # s of both stages, > 0; the authors' 2D script uses 40
    switch: float = 0.5  # progress at which stage 2 begins, in [0, 1]; the authors: 0.5 in 2D, 0.8 in 3D
    negative: str = "target_negative"  # what stage 2 moves away from: target_negative (TNP) or negative (GNP)
    anchor: float = 0.0  # weight of (eps_uncond - noise) in stage 2, >= 0; ours, the authors have none
    weighting: str = "sigma2"  # w(t), a name in weighting.WEIGHTINGS

    def __post_init__(self) -> None:
        if not self.guidance_scale > 0:
            raise ValueError(f"guidance_scale must be > 0, got {self.guidance_scale}.")
        if not 0 <= self.switch <= 1:
            raise ValueError(f"switch must be in [0, 1], got {self.switch}.")
        if self.negative not in NEGATIVES:
            raise ValueError(f"negative must be one of {', '.join(NEGATIVES)}, got {self.negative!r}.")
        if not self.anchor >= 0:
            raise ValueError(f"anchor must be >= 0, got {self.anchor}.")
        check_weighting(self.weighting)


class Bridge:
    """SDS while progress < switch, then grad = w(t) [anchor (eps_uncond - noise) + s (eps_target - eps_negative)]."""

    summary = "SDS-Bridge: SDS first, then from faulty pictures to good ones (TNP or GNP)"
    equation = "stage 1: SDS;  stage 2: w(t) [anchor (eps_uncond - noise) + s (eps_target - eps_negative)]"
    paper = "Rethinking Score Distillation as a Bridge Between Image Distributions, arXiv:2406.09417"
    evaluations = "2 (3 in stage 2 with an anchor)"

    def __init__(self, config: BridgeConfig | None = None) -> None:
        self.config = config or BridgeConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        config = self.config
        if progress < config.switch:
            return cfg_conditions(config.guidance_scale)
        return ("target", config.negative, *(("uncond",) if config.anchor else ()))

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        if inputs.progress < config.switch:
            direction, terms = cfg_direction(eps, inputs.noise, config.guidance_scale)
        else:
            name, delta = NEGATIVES[config.negative]
            terms = {name: delta(eps["target"], eps[config.negative])}
            direction = config.guidance_scale * terms[name]
            if config.anchor:
                terms["residual"] = directions.residual(eps["uncond"], inputs.noise)
                direction = config.anchor * terms["residual"] + direction
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)
