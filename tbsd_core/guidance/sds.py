"""Score distillation sampling, DreamFusion Eq. 3 (arXiv:2209.14988)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..settings import DEMO, PUBLISHED, Setting, check_settings
from ..sources import FROM_TARGET, MEASURED, THREESTUDIO
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight

DREAMFUSION = "DreamFusion, arXiv:2209.14988"


@dataclass(frozen=True, kw_only=True)
class SDSConfig:
    guidance_scale: float = shared.scale(25.0, at_least=0.0)  # s; the paper's 100 is 101 here, see SDS
    weighting: str = shared.weighting("sigma2")

    def __post_init__(self) -> None:
        check_settings(self)


class SDS:
    """grad = w(t) [(eps_uncond - noise) + s (eps_target - eps_uncond)].

    At s = 1 the unconditional prediction cancels, at s = 0 the target does: neither is then evaluated. DreamFusion and
    threestudio's SDS count from the target's prediction, (1 + s) eps_target - s eps_uncond: their s = 100 is 101 here.
    """

    def __init__(self, config: SDSConfig | None = None) -> None:
        self.config = config or SDSConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return cfg_conditions(self.config.guidance_scale)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config = self.config
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        direction, terms = cfg_direction(inputs.eps, inputs.noise, config.guidance_scale)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


def cfg_conditions(guidance_scale: float) -> tuple[str, ...]:
    """Conditions with a weight other than zero in eps_cfg(s) = (1 - s) eps_uncond + s eps_target."""
    if guidance_scale == 0:
        return ("uncond",)
    return ("target",) if guidance_scale == 1 else ("target", "uncond")


def cfg_direction(
    eps: Mapping[str, Tensor],  # at least cfg_conditions(guidance_scale), each [B, C, h, w]
    noise: Tensor,  # [B, C, h, w]
    guidance_scale: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """eps_cfg(s) - noise [B, C, h, w], and the unweighted terms it is made of."""
    if guidance_scale == 1:
        conditional = eps["target"] - noise
        return conditional, {"conditional_residual": conditional}
    anchor = directions.residual(eps["uncond"], noise)
    if guidance_scale == 0:
        return anchor, {"residual": anchor}
    shape = directions.delta_cls(eps["target"], eps["uncond"])
    return anchor + guidance_scale * shape, {"residual": anchor, "delta_cls": shape}


SPEC = MethodSpec(
    name="sds",
    label="SDS",
    method=SDS,
    config=SDSConfig,
    summary="Score Distillation Sampling: follow the prompt with classifier-free guidance",
    equation="w(t) [eps_cfg(s) - noise],  eps_cfg(s) = eps_uncond + s (eps_target - eps_uncond)",
    paper="DreamFusion, arXiv:2209.14988",
    evaluations="2 (1 at s = 0 or s = 1)",
    description="Score Distillation Sampling (DreamFusion): the classic method, a baseline.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(101.0, f"{DREAMFUSION}; {THREESTUDIO}: 100, {FROM_TARGET}"),
            "guidance.weighting": Setting("sigma2", f"{DREAMFUSION}; {THREESTUDIO}"),
        },
        (DEMO, ""): {"guidance.guidance_scale": Setting(6.0, MEASURED)},
    },
    variants={
        "sjc": (
            SDSConfig(guidance_scale=101.0, weighting="uniform"),  # sjc.yaml: 100, counted from the target
            "Score Jacobian Chaining with reduced variance (arXiv:2212.00774): SDS with equal weights of all timesteps",
        ),
    },
)
