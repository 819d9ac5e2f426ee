"""Weights w(t) of the gradient. Their overall size does not matter: the loop divides the gradient of a step by its
RMS, and the gradient of a picture by its own (`optim.normalize_by`). So w(t) weighs the views of a step against each
other. Only with `normalize_by` none does it weigh one step against another.

Flow models (SD3, Flux) are distilled in velocity form, as RFDS does (arXiv:2406.03293):
grad = v_cfg - (noise - x_0), from x_t = (1 - s) x_0 + s noise and a prediction v_pred of noise - x_0.
The noise that such a model predicts is eps_pred = x_t + (1 - s) v_pred, so that

    v_pred - (noise - x_0) = (eps_pred - noise) / (1 - s)

and the same factor turns any difference of noise predictions (delta_cls, delta_tnp) into one of
velocities. At equal signal-to-noise ratio s = sigma_t / (alpha_t + sigma_t), hence
1 / (1 - s) = (alpha_t + sigma_t) / alpha_t: the weighting "velocity". A method that is w(t) times a
combination of such differences (SDS, Bridge, TBSD; TBSD's balancer does not see a common factor) is
then its own published velocity form, whatever the prior predicts.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

# by alphas_cumprod [B] = alpha_t^2
WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigma2": lambda a_bar: 1 - a_bar,  # DreamFusion (arXiv:2209.14988): sigma_t^2
    "uniform": lambda a_bar: a_bar.new_ones(a_bar.shape),  # CSD, coarse stage (arXiv:2310.19415)
    "sqrt_alpha": lambda a_bar: a_bar.sqrt(),  # BSD (arXiv:2407.13976): alpha_t
    "alpha_sigma2": lambda a_bar: a_bar.sqrt() * (1 - a_bar),  # Fantasia3D (arXiv:2303.13873)
    "velocity": lambda a_bar: 1 + ((1 - a_bar) / a_bar).sqrt(),  # RFDS (arXiv:2406.03293): 1 on velocities
    "sigma_over_alpha": lambda a_bar: ((1 - a_bar) / a_bar).sqrt(),  # ISM (arXiv:2311.11284)
}


def weight(name: str, alphas_cumprod: Tensor) -> Tensor:
    """w_t as [B, 1, 1, 1], ready to multiply latents, of alphas_cumprod [B]."""
    return WEIGHTINGS[name](alphas_cumprod).view(-1, 1, 1, 1)
