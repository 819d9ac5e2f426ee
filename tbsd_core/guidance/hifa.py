"""Distillation in latents and pixels of HiFA (arXiv:2305.18766)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .base import GuidanceInputs, GuidanceOutput
from .sds import SDS, SDSConfig, cfg_direction
from .weighting import check_weighting, weight


@dataclass(frozen=True, kw_only=True)
class HiFAConfig:
    """The authors do not draw the timestep: it falls with the root of the progress (TimestepConfig)."""

    guidance_scale: float = 100.0  # CFG weight s, >= 0; hifa.yaml: 100
    pixel_scale: float = 0.01  # weight of the gradient on the pictures, >= 0; hifa.yaml: 0.01, 0 leaves it out
    weighting: str = "sigma2"  # w(t), a name in weighting.WEIGHTINGS

    def __post_init__(self) -> None:
        if not self.guidance_scale >= 0:
            raise ValueError(f"guidance_scale must be >= 0, got {self.guidance_scale}.")
        if not self.pixel_scale >= 0:
            raise ValueError(f"pixel_scale must be >= 0, got {self.pixel_scale}.")
        check_weighting(self.weighting)


class HiFA:
    """SDS on the latents, and on the pictures I the same towards the decoded estimate of what they should be:

    pixel_grad = pixel_scale w(t) (alpha / sigma) [I - decode(x_0)],  x_0 = x - (sigma / alpha) (eps_cfg - noise)

    SDS itself is w(t) (alpha / sigma) [x - x_0]. Nothing is differentiated through the decoder. The authors'
    third part, the variance of the depth along rays, belongs to the scene and is not here.
    """

    summary = "HiFA: SDS, and beside it a pull of the pictures towards the decoded estimate"
    equation = "w(t) [eps_cfg(s) - noise], and on the pictures: c w(t) (alpha / sigma) [I - decode(x_0)]"
    paper = "HiFA, arXiv:2305.18766"
    evaluations = "2 (1 at s = 0 or s = 1), and a decoding"

    def __init__(self, config: HiFAConfig | None = None) -> None:
        self.config = c = config or HiFAConfig()
        self._sds = SDS(SDSConfig(guidance_scale=c.guidance_scale, weighting=c.weighting))

    def required(self, progress: float) -> tuple[str, ...]:
        return self._sds.required(progress)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        return self._sds(inputs)

    def decodes(self, progress: float) -> bool:
        return self.config.pixel_scale > 0

    def pixel_grad(
        self, inputs: GuidanceInputs, latents: Tensor, images: Tensor, decode: Callable[[Tensor], Tensor]
    ) -> Tensor:
        config, a_bar = self.config, inputs.alphas_cumprod.view(-1, 1, 1, 1)
        direction, _ = cfg_direction(inputs.eps, inputs.noise, config.guidance_scale)
        ratio = (a_bar / (1 - a_bar)).sqrt()
        estimate = latents - direction / ratio
        w_t = weight(config.weighting, inputs.alphas_cumprod)
        return (config.pixel_scale * w_t * ratio * (images - decode(estimate))).detach()
