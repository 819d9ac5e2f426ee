"""Variational score distillation, ProlificDreamer Eq. 10 (arXiv:2305.16213)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..priors.base import LoRAConfig
from ..settings import PUBLISHED, Setting, check_settings
from ..sources import PROLIFIC_2D, PROLIFIC_3D
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .sds import cfg_conditions, cfg_direction
from .spec import MethodSpec
from .weighting import weight


@dataclass(frozen=True, kw_only=True)
class VSDConfig:
    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # s of the prior; the paper: 7.5
    weighting: str = shared.weighting("sigma2")
    lora: LoRAConfig = field(default_factory=LoRAConfig)  # what is trained beside the scene

    def __post_init__(self) -> None:
        check_settings(self)


class VSD:
    """grad = w(t) [eps_cfg(s) - eps_lora]: SDS with the score of the current renders instead of the noise.

    The loop trains the LoRA for one step after each step of the scene. The LoRA gets the target without view words and
    the camera as a pose, as in threestudio; the prior's own predictions use the view words.
    """

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


SPEC = MethodSpec(
    name="vsd",
    label="VSD",
    method=VSD,
    config=VSDConfig,
    summary="Variational Score Distillation: SDS against a LoRA that learns what the renders look like now",
    equation="w(t) [eps_cfg(s) - eps_lora],  eps_lora: prior + LoRA trained on the renders, told the camera",
    paper="ProlificDreamer, arXiv:2305.16213",
    evaluations="3, and a training step of the LoRA",
    description="Variational Score Distillation (ProlificDreamer): trains a LoRA beside the scene. Slower, and needs "
    "memory for the training.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, PROLIFIC_3D),
            "guidance.weighting": Setting("sigma2", PROLIFIC_3D),
            "guidance.lora.lr": Setting(1e-4, f"{PROLIFIC_3D}; {PROLIFIC_2D}"),
            "guidance.lora.camera_dropout": Setting(0.1, PROLIFIC_3D),
        },
        (PUBLISHED, "latent"): {"optim.lr": Setting(0.03, PROLIFIC_2D), "optim.n_steps": Setting(500, PROLIFIC_2D)},
        (PUBLISHED, "nerf"): {
            "optim.n_steps": Setting(25_000, PROLIFIC_3D),
            "optim.timesteps.anneal_end": Setting(0.2, f"{PROLIFIC_3D}: at step 5000 of 25 000"),
        },
    },
)
