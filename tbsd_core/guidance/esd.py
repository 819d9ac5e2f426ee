"""Entropic score distillation (Taming Mode Collapse, arXiv:2401.00909)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..priors.base import LoRAConfig
from ..settings import PUBLISHED, Setting, check_settings
from ..sources import PROLIFIC_2D, PROLIFIC_3D
from . import shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .vsd import VSD, VSDConfig


@dataclass(frozen=True, kw_only=True)
class ESDConfig:
    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # s of the prior; the authors: 7.5
    entropy: float = shared.part(  # weight of the camera's absence; the authors: 0.5
        0.5, "How strongly the views are kept different. 0 is VSD.", step=0.05
    )
    weighting: str = shared.weighting("sigma2")
    lora: LoRAConfig = field(default_factory=LoRAConfig)  # what is trained beside the scene

    def __post_init__(self) -> None:
        check_settings(self)


class ESD:
    """VSD whose LoRA score mixes the score with the camera and the score without it.

    The second is the score of all views together: moving away from it keeps views different from each other, which
    works against one face on every side. Neither gets the view in words. For pictures, which have no camera, it is VSD.
    """

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


SPEC = MethodSpec(
    name="esd",
    label="ESD",
    method=ESD,
    config=ESDConfig,
    summary="Entropic Score Distillation: VSD that also keeps the views different from each other",
    equation="w(t) [eps_cfg(s) - (1 - l) eps_lora(camera) - l eps_lora(no camera)]",
    paper="Taming Mode Collapse in Score Distillation for Text-to-3D Generation, arXiv:2401.00909",
    evaluations="4 (3 at entropy 0 or 1), and a training step of the LoRA",
    description="Entropic Score Distillation: VSD that also keeps the views of an object different from each other.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, f"as for VSD ({PROLIFIC_3D})"),
            "guidance.entropy": Setting(0.5, "ESD, arXiv:2401.00909, the authors' README"),
            "guidance.weighting": Setting("sigma2", f"as for VSD ({PROLIFIC_3D})"),
            "guidance.lora.lr": Setting(1e-4, f"as for VSD ({PROLIFIC_3D})"),
            "guidance.lora.camera_dropout": Setting(0.1, f"as for VSD ({PROLIFIC_3D})"),
        },
        (PUBLISHED, "latent"): {
            "optim.lr": Setting(0.03, f"as for VSD ({PROLIFIC_2D})"),
            "optim.n_steps": Setting(500, f"as for VSD ({PROLIFIC_2D})"),
        },
        (PUBLISHED, "nerf"): {
            "optim.n_steps": Setting(25_000, f"as for VSD ({PROLIFIC_3D})"),
            "optim.timesteps.anneal_end": Setting(0.2, f"as for VSD ({PROLIFIC_3D})"),
        },
    },
)
