"""The classifier direction alone: the smallest method that follows a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import DEMO, Setting, check_settings
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight


@dataclass(frozen=True, kw_only=True)
class PullConfig:
    guidance_scale: float = shared.scale(3.0, above=0.0)  # ours
    weighting: str = shared.weighting("sigma2")

    def __post_init__(self) -> None:
        check_settings(self)


class Pull:
    """grad = w(t) s (eps_target - eps_uncond)."""

    def __init__(self, config: PullConfig | None = None) -> None:
        self.config = config or PullConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return "target", "uncond"

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        direction = directions.delta_cls(inputs.eps["target"], inputs.eps["uncond"])
        w_t = weight(self.config.weighting, inputs.alphas_cumprod)
        grad = (w_t * self.config.guidance_scale * direction).detach()
        return GuidanceOutput(grad, {"delta_cls": direction}, {"norm_delta_cls": directions.norm(direction)})


SPEC = MethodSpec(
    name="pull",
    label="Pull",
    method=Pull,
    config=PullConfig,
    summary="The direction of the prompt alone",
    equation="w(t) s (eps_target - eps_uncond)",
    paper="Text-to-3D with Classifier Score Distillation, arXiv:2310.19415",
    evaluations="2",
    description="The direction of the prompt alone.",
    prompts="Prompts from Prompt Encode.",
    presets={(DEMO, ""): {"guidance.guidance_scale": Setting(4.0, "ours: it has no residual")}},
)
