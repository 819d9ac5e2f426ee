"""Posterior distillation sampling (arXiv:2311.13831, Eq. 13): the edit keeps the source's stochastic latents.

The latent of a DDPM step back from x_t is z_t = (x_{t'} - mu(x_t, eps)) / sigma_t, with mu the mean of x_{t'} that a
prediction implies. Both noises are the source's, so the second cancels:

    z_t(target) - z_t(source) = psi(t) (x_0 - x_0^src) + chi(t) (eps_cfg(target) - eps_cfg(source))

With the coefficients of one step from t to t' = t - 1, psi is exactly zero, since mu of the true x_0 is unbiased: PDS
would be DDS with another weight. The authors' code holds the source because t' is two timesteps before t (it visits 500
of 1000) while beta_t belongs to one; psi / chi is then about (1 + alpha_t^2) alpha_t / (2 sigma_t). We follow their
code: `stride` timesteps to t', beta_t of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..priors.schedule import NoiseSchedule
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..transfer import double_device
from . import directions, shared
from .base import GuidanceInputs, GuidanceOutput
from .dds import FEW, LESS, delta_conditions, delta_score
from .spec import MethodSpec

PDS_2D = "PDS, arXiv:2311.13831, its pds.py"


@dataclass(frozen=True, kw_only=True)
class PDSConfig:
    guidance_scale: float = shared.scale(100.0, at_least=0.0)  # s, of both predictions
    stride: int = setting(
        2,
        "How firmly the source is held, in timesteps between x_t and the one before. 2 as published; more holds it "
        "more firmly, 1 does not hold it.",
        at_least=1,
        at_most=100,
    )

    def __post_init__(self) -> None:
        check_settings(self)


class PDS:
    """grad = psi(t) (x_0 - x_0^src) + chi(t) [eps_cfg(x_t; target) - eps_cfg(x_t^src; source)].

    psi = (alpha_t' - c_0 - c_1 alpha_t) / sigma and chi = c_0 sigma_t / (alpha_t sigma), with
    c_0 = alpha_t' beta_t / sigma_t^2, c_1 = sqrt(1 - beta_t) sigma_t'^2 / sigma_t^2 and
    sigma^2 = beta_t sigma_t'^2 / sigma_t^2 of the posterior.
    """

    def __init__(self, config: PDSConfig | None = None) -> None:
        self.config = config or PDSConfig()

    def required(self, progress: float) -> tuple[str, ...]:
        return delta_conditions(self.config.guidance_scale)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        assert inputs.schedule is not None
        psi, chi = coefficients(inputs.schedule, inputs.t, self.config.stride)
        terms = {"identity": inputs.change, "delta_dds": delta_score(inputs.eps, self.config.guidance_scale)}
        grad = psi * terms["identity"] + chi * terms["delta_dds"]
        scalars = {f"norm_{name}": directions.norm(term) for name, term in terms.items()}
        return GuidanceOutput(grad.detach(), terms, scalars)


def coefficients(schedule: NoiseSchedule, t: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """psi and chi [B, 1, 1, 1] of timesteps [B]; t' is at least 0, and t at least 1."""
    device, t = t.device, t.to(double_device(t.device)).clamp(min=1)
    a_bar, just_before = (schedule.at(x).double() for x in (t, t - 1))
    before = schedule.at((t - stride).clamp(min=0)).double()
    beta = 1 - a_bar / just_before
    c_0 = before.sqrt() * beta / (1 - a_bar)
    c_1 = (1 - beta).sqrt() * (1 - before) / (1 - a_bar)
    sigma = (beta * (1 - before) / (1 - a_bar)).sqrt()
    psi = (before.sqrt() - c_0 - c_1 * a_bar.sqrt()) / sigma
    chi = c_0 * ((1 - a_bar) / a_bar).sqrt() / sigma
    psi, chi = (x.float().view(-1, 1, 1, 1).to(device) for x in (psi, chi))
    return psi, chi


SPEC = MethodSpec(
    name="pds",
    label="PDS",
    method=PDS,
    config=PDSConfig,
    summary="Posterior Distillation Sampling: edits an existing scene, and holds it by the latents of a sampling step",
    equation="psi(t) (x_0 - x_0_src) + chi(t) [eps_cfg(x_t, target) - eps_cfg(x_t_src, source)]",
    paper="Posterior Distillation Sampling, arXiv:2311.13831",
    evaluations="4 (2 at s = 0 or s = 1)",
    description="Posterior Distillation Sampling: edits an existing scene and keeps more of it than DDS.",
    prompts="The scene after the edit, from Prompt Encode; a negative prompt is not used.",
    presets={
        (PUBLISHED, ""): {
            "guidance.guidance_scale": Setting(100.0, PDS_2D),
            "guidance.stride": Setting(2, f"{PDS_2D}: 500 of 1000 timesteps are visited"),
        },
        (DEMO, ""): {"guidance.guidance_scale": Setting(3.0, LESS)},
        (DEMO, "image"): FEW,
        (DEMO, "latent"): FEW,
    },
)
