"""A prior whose images are Gaussian, one Gaussian per prompt: every prediction has a closed form.

It is the oracle of the tests: gradients, fixed points and limits of every method are known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..transfer import to_device
from .schedule import NoiseSchedule, scaled_linear


@dataclass(frozen=True, eq=False)
class GaussianCondition:
    """Images N(mean, variance I).

    Args:
        mean: a number, or a tensor that broadcasts to [C, h, w].
        variance: per value, >= 0.
    """

    mean: float | Tensor = 0.0
    variance: float = 1.0

    def __post_init__(self) -> None:
        if not self.variance >= 0:
            raise ValueError(f"variance must be >= 0, got {self.variance}.")


class GaussianPrior:
    """eps_c(x_t) = sigma_t (x_t - alpha_t mean_c) / (alpha_t^2 variance_c + sigma_t^2). Latents are the images.

    Args:
        prompts: what each text means.
        schedule: noise schedule; Stable Diffusion's by default.
        is_flow: whether it passes for a flow model.
    """

    spatial_factor = 1

    def __init__(
        self,
        prompts: Mapping[str, GaussianCondition],
        schedule: NoiseSchedule | None = None,
        latent_channels: int = 3,
        is_flow: bool = False,
    ) -> None:
        self.is_flow = is_flow
        self.prompts = dict(prompts)
        self.schedule = schedule or scaled_linear()
        self.latent_channels = latent_channels

    def encode_prompt(self, text: str) -> GaussianCondition:
        """The Gaussian of a text. Raises ValueError listing the texts it knows."""
        if text not in self.prompts:
            known = ", ".join(repr(t) for t in self.prompts)
            raise ValueError(f"The Gaussian prior does not know {text!r}; it knows {known}.")
        return self.prompts[text]

    @torch.no_grad()
    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B] long
        conditions: Sequence[Sequence[GaussianCondition]],  # K lists of B
    ) -> list[Tensor]:
        """K exact noise predictions [B, C, h, w], float32."""
        alpha_t, sigma_t = self.schedule.alpha_sigma(t)
        predictions = []
        for condition in conditions:
            means = [to_device(torch.as_tensor(c.mean), x_t.device) for c in condition]
            mean = torch.stack([m.expand(x_t.shape[1:]) for m in means])
            variance = to_device(torch.tensor([c.variance for c in condition]), x_t.device).view(-1, 1, 1, 1)
            eps = sigma_t * (x_t - alpha_t * mean) / (alpha_t**2 * variance + sigma_t**2)
            predictions.append(eps.float())
        return predictions

    def encode(self, images: Tensor) -> Tensor:
        return images.float()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(0, 1)
