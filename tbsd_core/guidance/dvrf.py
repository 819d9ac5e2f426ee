"""Delta velocity rectified flow (arXiv:2509.05342, Eq. 6 and 8): DDS on velocities, with noisy latents that run ahead.

On a flow x_s = (1 - s) x_0 + s noise the noisy target moves on in the direction of the change so far, and the gradient
is the difference of velocities, corrected for that move. With d = x_0 - x_0^src and c = eta u s, u the training
progress:

    x_s^tgt = (1 - s) x_0 + s noise + c d,    grad = v_cfg(x_s^tgt; target) - v_cfg(x_s^src; source) + (1 - eta u) d

In noise predictions, v = (eps - x_s) / (1 - s), it is

    grad = [eps_cfg(target) - eps_cfg(source)] / (1 - s) - eta u d / (1 - s)

At eta = 0 it is DDS in its velocity form. The paper follows timesteps from much noise to little by gradient descent;
here they are drawn as for every method, which is its "random" strategy, and the run's optimiser steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..settings import PUBLISHED, Setting, check_settings, setting
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .dds import delta_conditions
from .spec import MethodSpec
from .weighting import weight

DVRF_2D = "DVRF, arXiv:2509.05342, its exp.yaml for Stable Diffusion 3"


@dataclass(frozen=True, kw_only=True)
class DVRFConfig:
    guidance_scale: float = shared.scale(16.5, low=1.5, above=1.0)  # of the target
    source_scale: float = setting(
        6.0,
        "Guidance scale of the source prompt, in the prediction that is subtracted.",
        above=1.0,
        low=1.5,
        high=100.0,
        step=0.5,
    )
    shift: float = shared.part(  # eta; c_t = eta u t
        1.0,
        "How far the noisy pictures run ahead of the edit at the end of the run. 0 is DDS on velocities.",
        step=0.05,
    )

    def __post_init__(self) -> None:
        check_settings(self)


class DVRF:
    """grad = 1/(1-s) [eps_cfg(x_t + eta u sigma_t d; target) - eps_cfg(x_t^src; source) - eta u d], d = x_0 - x_0^src.

    1/(1-s) = (alpha_t + sigma_t) / alpha_t; x_t in variance-preserving terms is x_s times alpha_t + sigma_t.
    """

    flow_only = True

    def __init__(self, config: DVRFConfig | None = None) -> None:
        self.config = config or DVRFConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return delta_conditions(self.config.guidance_scale)

    def shifted(self, x_t: Tensor, change: Tensor, sigma_t: Tensor, progress: float) -> Tensor:
        """c = eta u s of the flow is eta u sigma_t here."""
        return x_t + self.config.shift * progress * sigma_t * change

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        target = eps["uncond"] + config.guidance_scale * directions.delta_cls(eps["target"], eps["uncond"])
        source = eps["source_uncond"] + config.source_scale * (eps["source"] - eps["source_uncond"])
        terms = {"delta_velocity": target - source, "shift": inputs.change}
        delta = terms["delta_velocity"] - config.shift * inputs.progress * terms["shift"]
        w_t = weight("velocity", inputs.alphas_cumprod)
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * delta).detach(), terms, scalars)


SPEC = MethodSpec(
    name="dvrf",
    label="DVRF",
    method=DVRF,
    config=DVRFConfig,
    summary="Delta Velocity Rectified Flow: edits an existing scene, with flow models such as SD3 and Flux",
    equation="v_cfg(x_s + c d, target) - v_cfg(x_s_src, source) + (1 - eta u) d,  d = x_0 - x_0_src, c = eta u s",
    paper="Delta Velocity Rectified Flow, arXiv:2509.05342",
    evaluations="4",
    description="Delta Velocity Rectified Flow: edits an existing scene with SD3, Flux and other flow models.",
    prompts="The scene after the edit, from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(16.5, DVRF_2D),
            "guidance.source_scale": Setting(6.0, DVRF_2D),
            "guidance.shift": Setting(1.0, DVRF_2D),
        },
    },
    flow_only=True,
)
