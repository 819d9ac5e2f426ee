"""Stable score distillation (arXiv:2507.09168), as its authors' code has it.

One classifier leads from the source prompt to the target prompt at the present picture (cross-prompt); a branch with
the empty prompt at the source holds the picture there (cross-trajectory); a third strengthens the prompt, for styles.
We have only the abstract of the paper and a summary. Terms, factors and numbers come from
threestudio/models/guidance/sd_ssd_guidance.py in the authors' repository (Alex-Zhu1/SSD), among them the identity term
on noisy latents, which is DreamCatalyst's (arXiv:2407.11394) with a weight that grows with the noise. We have not
checked our reading against the paper's own equation.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .dds import FEW
from .spec import MethodSpec
from .weighting import weight

SSD_3D = "SSD, arXiv:2507.09168, its edit-sd-ours.yaml"
IDENTITY = "SSD, arXiv:2507.09168, its sd_ssd_guidance.py"


@dataclass(frozen=True, kw_only=True)
class SSDConfig:
    guidance_scale: float = shared.scale(7.5, above=0.0)  # s, from the source prompt to the target
    source_scale: float = setting(
        2.0,
        "How firmly the structure of the source is held, by comparing the predictions for scene and source. 0 "
        "leaves it out.",
        at_least=0.0,
        high=100.0,
        step=0.1,
    )
    enhance_scale: float = setting(
        5.5, "Strengthens the prompt, for changes of style. 0 leaves it out.", at_least=0.0, high=100.0, step=0.5
    )
    identity: float = setting(
        0.075,
        "Pull back to the source itself, stronger at high noise levels. More changes less; 0 leaves it out.",
        at_least=0.0,
        high=10.0,
        step=0.005,
    )
    weighting: str = shared.weighting("uniform")

    def __post_init__(self) -> None:
        check_settings(self)


class SSD:
    """grad = w(t) [s/2 (eps(x_t; target) - eps(x_t; source)) + s_src/2 (eps(x_t; source) - eps(x_t^src; ""))
    + s_enh (eps(x_t; target) - eps(x_t; "")) + k exp(t / T) (x_t - x_t^src)].

    The halves are the code's. x_t - x_t^src = alpha_t (x_0 - x_0^src), since both have one noise.
    """

    def __init__(self, config: SSDConfig | None = None) -> None:
        self.config = config or SSDConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        config = self.config
        return (
            *("target", "source_negative"),
            *(("source_uncond",) if config.source_scale > 0 else ()),
            *(("uncond",) if config.enhance_scale > 0 else ()),
        )

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        config, eps = self.config, inputs.eps
        parts = {"cross_prompt": (config.guidance_scale / 2, eps["target"] - eps["source_negative"])}
        if config.source_scale > 0:
            parts["cross_trajectory"] = (config.source_scale / 2, eps["source_negative"] - eps["source_uncond"])
        if config.enhance_scale > 0:
            parts["delta_cls"] = (config.enhance_scale, directions.delta_cls(eps["target"], eps["uncond"]))
        if config.identity > 0:
            noisy = inputs.alphas_cumprod.sqrt().view(-1, 1, 1, 1) * inputs.change
            growth = (inputs.t / inputs.n_timesteps).exp().view(-1, 1, 1, 1)
            parts["identity"] = (config.identity, growth * noisy)
        direction = sum(scale * term for scale, term in parts.values())
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        terms = {name: term for name, (_, term) in parts.items()}
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput((w_t * direction).detach(), terms, scalars)


SPEC = MethodSpec(
    name="ssd",
    label="SSD",
    method=SSD,
    config=SSDConfig,
    summary="Stable Score Distillation: edits an existing scene, from the source prompt to the target (by its code)",
    equation="w(t) [s/2 (eps_tgt - eps_src) + s_src/2 (eps_src - eps(x_t_src, empty)) + s_enh (eps_tgt - eps_uncond) "
    "+ k e^(t/T) (x_t - x_t_src)]",
    paper="Stable Score Distillation, arXiv:2507.09168 (terms and numbers of its code)",
    evaluations="4 (3 with one of the scales at 0, 2 with both)",
    description="Stable Score Distillation: edits an existing scene, from its description towards the prompt.",
    prompts="The scene after the edit, from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(7.5, SSD_3D),
            "guidance.source_scale": Setting(2.0, SSD_3D),
            "guidance.enhance_scale": Setting(5.5, SSD_3D),
            "guidance.identity": Setting(0.075, IDENTITY),
            "guidance.weighting": Setting("uniform", IDENTITY),
        },
        (DEMO, ""): {"guidance.guidance_scale": Setting(7.5, SSD_3D)},
        (DEMO, "image"): FEW,
        (DEMO, "latent"): FEW,
    },
)
