"""Score distillation as a bridge between two distributions of images (arXiv:2406.09417).

The second stage leads from the present renders, which are faulty pictures, to good pictures of the target. TNP
describes the start by the target and its faults, GNP by the faults alone. There are two stages because the second alone
forms poor shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import BRIDGE_2D, MEASURED
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .sds import cfg_conditions, cfg_direction
from .spec import MethodSpec
from .weighting import WEIGHTINGS, weight

BRIDGE_3D = "SDS-Bridge, arXiv:2406.09417, its sds-bridge.yaml"
# the direction of stage 2 by the condition that describes the start
NEGATIVES = {"target_negative": ("delta_tnp", directions.delta_tnp), "negative": ("delta_gnp", directions.delta_gnp)}


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    guidance_scale: float = shared.scale(25.0, above=0.0)  # s; the authors' 2D script uses 40 in both stages
    switch: float = shared.part(  # the authors: 0.5 in 2D, 0.8 in 3D
        0.5, "When the second stage begins, as a fraction of the run.", step=0.05
    )
    negative: str = setting(
        "target_negative",
        "The negative prompt that the second stage moves away from. TNP gives strong texture but can bend the "
        "shape; GNP is safer.",
        choices={"target negative (TNP)": "target_negative", "generic negative (GNP)": "negative"},
    )
    anchor: float = shared.anchor(0.0)  # of stage 2; ours, the authors have none
    weighting: str = shared.weighting("sigma2")
    # of stage 2 alone; None is as in stage 1. The authors' 3D code has neither a scale nor sigma^2 there
    texture_scale: float | None = setting(None, meaning="s of the second stage", above=0.0)
    texture_weighting: str | None = setting(None, meaning="weighting of the second stage", choices=tuple(WEIGHTINGS))

    def __post_init__(self) -> None:
        check_settings(self)


class Bridge:
    """SDS while progress < switch, then grad = w(t) [anchor (eps_uncond - noise) + s (eps_target - eps_negative)].

    In the second stage s is `texture_scale` and w(t) `texture_weighting`, unless they are None.
    """

    def __init__(self, config: BridgeConfig | None = None) -> None:
        self.config = config or BridgeConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        config = self.config
        if progress < config.switch:
            return cfg_conditions(config.guidance_scale)
        return ("target", config.negative, *(("uncond",) if config.anchor else ()))

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        weighting, scale = config.weighting, config.guidance_scale
        if inputs.progress < config.switch:
            direction, terms = cfg_direction(eps, inputs.noise, scale)
        else:
            weighting = config.texture_weighting or weighting
            scale = scale if config.texture_scale is None else config.texture_scale
            name, delta = NEGATIVES[config.negative]
            terms = {name: delta(eps["target"], eps[config.negative])}
            direction = scale * terms[name]
            if config.anchor:
                terms["residual"] = directions.residual(eps["uncond"], inputs.noise)
                direction = config.anchor * terms["residual"] + direction
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        w_t = weight(weighting, inputs.alphas_cumprod)
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


SPEC = MethodSpec(
    name="bridge",
    label="Bridge",
    method=Bridge,
    config=BridgeConfig,
    summary="SDS-Bridge: SDS first, then from faulty pictures to good ones (TNP or GNP)",
    equation="stage 1: SDS;  stage 2: w(t) [anchor (eps_uncond - noise) + s (eps_target - eps_negative)]",
    paper="Rethinking Score Distillation as a Bridge Between Image Distributions, arXiv:2406.09417",
    evaluations="2 (3 in stage 2 with an anchor)",
    description="SDS-Bridge: starts as SDS, then moves away from a negative prompt. A baseline.",
    prompts="Prompts from Target Negative Prompt, with the negative that is chosen below.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(40.0, BRIDGE_2D),
            "guidance.switch": Setting(0.5, BRIDGE_2D),
            "guidance.weighting": Setting("sigma2", BRIDGE_2D),
        },
        (PUBLISHED, "nerf"): {
            "optim.n_steps": Setting(25_000, BRIDGE_3D),
            "optim.timesteps.anneal_end": Setting(0.2, f"{BRIDGE_3D}: at step 5000 of 25 000"),
            "guidance.guidance_scale": Setting(100.0, f"{BRIDGE_3D}, first stage"),
            "guidance.switch": Setting(0.8, f"{BRIDGE_3D}: at step 20 000 of 25 000"),
            "guidance.texture_scale": Setting(1.0, f"{BRIDGE_3D}: no scale in the second stage"),
            "guidance.texture_weighting": Setting("uniform", f"{BRIDGE_3D}: sigma^2 in the first stage only"),
        },
        (DEMO, ""): {"guidance.guidance_scale": Setting(6.0, MEASURED), "guidance.anchor": Setting(1.0, MEASURED)},
    },
)
