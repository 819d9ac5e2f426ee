"""Perp-Neg (arXiv:2304.04968): negatives that cannot undo the positive, for views that look alike."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..balancing.orthogonal import orthogonal_part


def perp_neg(
    eps_target: Tensor,  # [B, C, h, w]
    eps_uncond: Tensor,  # [B, C, h, w]
    negatives: Sequence[tuple[Tensor, float]],  # predictions [B, C, h, w] and weights >= 0
) -> Tensor:
    """The prediction [B, C, h, w] that takes the place of eps_target:

        eps_uncond + e_+ - sum_i w_i (e_i - <e_i, e_+> / |e_+|^2 e_+),  e = eps - eps_uncond

    With classifier-free guidance at scale s it gives the paper's eps_uncond + s [e_+ - ...]; the projection is
    per sample.
    """
    positive = eps_target - eps_uncond
    moved = positive
    for eps, weight in negatives:
        moved = moved - weight * orthogonal_part(eps - eps_uncond, positive)
    return eps_uncond + moved
