"""Variational score distillation, ProlificDreamer Eq. 10 (arXiv:2305.16213)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..priors.base import LoRAConfig
from . import directions
from .base import GuidanceInputs, GuidanceOutput
from .sds import cfg_conditions, cfg_direction
from .weighting import check_weighting, weight


@dataclass(frozen=True, kw_only=True)
class VSDConfig:
    guidance_scale: float = 7.5  # CFG weight s of the prior, >= 0; the paper: 7.5
    weighting: str = "sigma2"  # w(t), a name in weighting.WEIGHTINGS
    lora: LoRAConfig = field(default_factory=LoRAConfig)  # what is trained beside the scene

    def __post_init__(self) -> None:
        if not self.guidance_scale >= 0:
            raise ValueError(f"guidance_scale must be >= 0, got {self.guidance_scale}.")
        check_weighting(self.weighting)


class VSD:
    """grad = w(t) [eps_cfg(s) - eps_lora]: SDS with the score of the present renders in the place of the noise.

    The loop trains the LoRA by one step after each step of the scene.
    """

    summary = "Variational Score Distillation: SDS against a LoRA that learns what the renders look like now"
    equation = "w(t) [eps_cfg(s) - eps_lora],  eps_lora: prior + LoRA trained on the renders, told the camera"
    paper = "ProlificDreamer, arXiv:2305.16213"
    evaluations = "3, and a training step of the LoRA"

    def __init__(self, config: VSDConfig | None = None) -> None:
        self.config = config or VSDConfig()

    @property
    def lora(self) -> LoRAConfig:
        return self.config.lora

    def required(self, progress: float) -> tuple[str, ...]:
        return (*cfg_conditions(self.config.guidance_scale), "lora")

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps_lora = self.config, inputs.eps["lora"]
        direction, terms = cfg_direction(inputs.eps, eps_lora, config.guidance_scale)
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        scalars["lora_error"] = directions.norm(eps_lora - inputs.noise)
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)
