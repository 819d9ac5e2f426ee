"""Balanced score distillation of PlacidDreamer (arXiv:2407.13976)."""

from __future__ import annotations

from dataclasses import dataclass

from ..balancing.mgda import min_norm_weights
from ..settings import PUBLISHED, Setting, check_settings
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .spec import MethodSpec
from .weighting import weight

IN_2D = "PlacidDreamer, arXiv:2407.13976, its exp_2d.py"
IN_3D = {"guidance.guidance_scale": Setting(15.0, "PlacidDreamer, arXiv:2407.13976, its train_step_BSD")}
SCALE = "Length of the prompt's direction. A higher scale ends less saturated, as a longer direction counts for less."


@dataclass(frozen=True, kw_only=True)
class BSDConfig:
    guidance_scale: float = shared.scale(15.0, SCALE, above=0.0)  # lambda; the authors: 15 in 3D, 1 / 0.018 in 2D
    weighting: str = shared.weighting("sqrt_alpha")  # the authors: sqrt(alphas_cumprod)

    def __post_init__(self) -> None:
        check_settings(self)


class BSD:
    """grad = w(t) [a g_c + (1 - a) g_d], g_c = lambda (eps_target - eps_uncond), g_d = eps_uncond, a by MGDA.

    The shorter of the two gets the larger weight, so that a large classifier direction cannot saturate
    the picture. The weights are per sample.
    """

    def __init__(self, config: BSDConfig | None = None) -> None:
        self.config = config or BSDConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return ("target", "uncond")

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        terms = {"delta_cls": directions.delta_cls(eps["target"], eps["uncond"]), "smoothing": eps["uncond"]}
        classifier, smoothing = config.guidance_scale * terms["delta_cls"], terms["smoothing"]
        share, rest = min_norm_weights(classifier, smoothing)
        direction = share.view(-1, 1, 1, 1) * classifier + rest.view(-1, 1, 1, 1) * smoothing
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        scalars = {"lambda_classifier": share, "cosine": directions.cosine(classifier, smoothing)}
        scalars |= {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


SPEC = MethodSpec(
    name="bsd",
    label="BSD",
    method=BSD,
    config=BSDConfig,
    summary="Balanced Score Distillation: MGDA between the classifier direction and the smoothing one",
    equation="w(t) [a lambda (eps_target - eps_uncond) + (1 - a) eps_uncond],  a: the shortest combination (MGDA)",
    paper="PlacidDreamer, arXiv:2407.13976",
    evaluations="2",
    description="Balanced Score Distillation (PlacidDreamer): balances the prompt's direction against smoothing, "
    "so that the prompt cannot saturate the colours.",
    prompts="Prompts from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(1 / 0.018, f"{IN_2D}: 1 to 0.018"),
            "guidance.weighting": Setting("sqrt_alpha", IN_2D),
        },
        (PUBLISHED, "latent"): {"optim.lr": Setting(0.06, IN_2D), "optim.n_steps": Setting(1200, IN_2D)},
        (PUBLISHED, "nerf"): IN_3D,
        (PUBLISHED, "gaussian"): IN_3D,
        (PUBLISHED, "mesh_texture"): IN_3D,
    },
)
