"""Entropic score distillation (Taming Mode Collapse, arXiv:2401.00909)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..priors.base import LoRAConfig
from .base import GuidanceInputs, GuidanceOutput
from .vsd import VSD, VSDConfig
from .weighting import check_weighting


@dataclass(frozen=True, kw_only=True)
class ESDConfig:
    guidance_scale: float = 7.5  # CFG weight s of the prior, >= 0; the authors: 7.5
    entropy: float = 0.5  # weight of the camera's absence, in [0, 1]; 0 is VSD; the authors: 0.5
    weighting: str = "sigma2"  # w(t), a name in weighting.WEIGHTINGS
    lora: LoRAConfig = field(default_factory=LoRAConfig)  # what is trained beside the scene

    def __post_init__(self) -> None:
        if not self.guidance_scale >= 0:
            raise ValueError(f"guidance_scale must be >= 0, got {self.guidance_scale}.")
        if not 0 <= self.entropy <= 1:
            raise ValueError(f"entropy must be in [0, 1], got {self.entropy}.")
        check_weighting(self.weighting)


class ESD:
    """VSD whose LoRA score is a mixture of the one that is told the camera and the one that is not.

    The second is the score of all views together: moving away from it keeps views different from each
    other, which works against one face on every side. Pictures have no camera; there it is VSD.
    """

    summary = "Entropic Score Distillation: VSD that also keeps the views different from each other"
    equation = "w(t) [eps_cfg(s) - (1 - l) eps_lora(camera) - l eps_lora(no camera)]"
    paper = "Taming Mode Collapse in Score Distillation for Text-to-3D Generation, arXiv:2401.00909"
    evaluations = "4 (3 at entropy 0 or 1), and a training step of the LoRA"

    def __init__(self, config: ESDConfig | None = None) -> None:
        self.config = c = config or ESDConfig()
        self._vsd = VSD(VSDConfig(guidance_scale=c.guidance_scale, weighting=c.weighting, lora=c.lora))

    @property
    def lora(self) -> LoRAConfig:
        return self.config.lora

    def required(self, progress: float) -> tuple[str, ...]:
        *prior, posed = self._vsd.required(progress)
        share = self.config.entropy
        return (*prior, *((posed,) if share < 1 else ()), *(("lora_no_camera",) if share > 0 else ()))

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        share, eps = self.config.entropy, inputs.eps
        if share == 1:
            mixed = eps["lora_no_camera"]
        elif share == 0:
            mixed = eps["lora"]
        else:
            mixed = (1 - share) * eps["lora"] + share * eps["lora_no_camera"]
        return self._vsd(dataclasses.replace(inputs, eps={**eps, "lora": mixed}))
