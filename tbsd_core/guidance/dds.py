"""Delta denoising score (arXiv:2304.07090, Eq. 3): the score of the edit minus the score of the source.

SDS makes the same errors on the edited picture and on the source, which needs no change. Both share noise and timestep,
so the errors cancel and only the change of the prompt remains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..settings import DEMO, PUBLISHED, Setting, check_settings
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight

DDS_2D = "DDS, arXiv:2304.07090, its DDS_zeroshot notebook"
SWAPS = "chosen on one tuning swap of benchmarks/edits.py"
LESS = "as for TBSD-Edit: 7.5 burns the small world's pictures"
FEW = {"optim.n_steps": Setting(60, SWAPS)}  # a picture is there already


@dataclass(frozen=True, kw_only=True)
class DDSConfig:
    guidance_scale: float = shared.scale(7.5, at_least=0.0)  # s, of both predictions
    weighting: str = shared.weighting("uniform")

    def __post_init__(self) -> None:
        check_settings(self)


class DDS:
    """grad = w(t) [eps_cfg(x_t; target) - eps_cfg(x_t^src; source)], one noise for both, eps_cfg of scale s.

    At s = 1 the empty prompt is not evaluated.
    """

    def __init__(self, config: DDSConfig | None = None) -> None:
        self.config = config or DDSConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return delta_conditions(self.config.guidance_scale)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        delta = delta_score(inputs.eps, self.config.guidance_scale)
        w_t = weight(self.config.weighting, inputs.alphas_cumprod)
        return GuidanceOutput((w_t * delta).detach(), {"delta_dds": delta}, {"norm_delta_dds": directions.norm(delta)})


def delta_conditions(guidance_scale: float) -> tuple[str, ...]:
    """Conditions with a weight other than zero in `delta_score`."""
    if guidance_scale == 1:
        return ("target", "source")
    if guidance_scale == 0:
        return ("uncond", "source_uncond")
    return ("target", "uncond", "source", "source_uncond")


def delta_score(
    eps: Mapping[str, Tensor],  # at least delta_conditions(guidance_scale), each [B, C, h, w]
    guidance_scale: float,
) -> Tensor:
    """eps_cfg(x_t; target) - eps_cfg(x_t^src; source), [B, C, h, w]."""
    if guidance_scale == 1:
        return eps["target"] - eps["source"]
    plain = eps["uncond"] - eps["source_uncond"]
    if guidance_scale == 0:
        return plain
    toward, away = eps["target"] - eps["uncond"], eps["source"] - eps["source_uncond"]
    return plain + guidance_scale * (toward - away)


SPEC = MethodSpec(
    name="dds",
    label="DDS",
    method=DDS,
    config=DDSConfig,
    summary="Delta Denoising Score: edits an existing scene by the difference of the two prompts",
    equation="w(t) [eps_cfg(x_t, target) - eps_cfg(x_t_src, source)],  the same noise for both",
    paper="Delta Denoising Score, arXiv:2304.07090",
    evaluations="4 (2 at s = 0 or s = 1)",
    description="Delta Denoising Score: edits an existing picture or texture and leaves the rest alone.",
    prompts="The scene after the edit, from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, DDS_2D),
            "guidance.weighting": Setting("uniform", DDS_2D),
        },
        (DEMO, ""): {"guidance.guidance_scale": Setting(3.0, LESS)},
        (DEMO, "image"): FEW,
        (DEMO, "latent"): FEW,
    },
)
