"""For the free part of a surface: the colours of the locked part beside it, and how near that part is."""

from __future__ import annotations

import torch
from torch import Tensor

CELL = 0.04  # of the scene's radius: colours are averaged over cells of this size
SOFT = 2 * CELL  # distance within which locked cells count alike, so that no single one is copied
REACH = 0.15  # of the scene's radius: nearness has fallen to 1/e there
ROWS = 1024  # of a matrix of distances


def continued(
    points: Tensor,  # [K, 3] on a surface, in parts of the scene's radius
    free: Tensor,  # [K] bool
    colors: Tensor,  # [K, 3]; the values at free points are not read
) -> tuple[Tensor, Tensor]:
    """Colours [K, 3] of locked cells, averaged by inverse distance (Shepard 1968, power 4), and nearness [K] in [0, 1].

    Nearness is 1 beside the locked part and falls as a Gaussian of the distance. It is 0 everywhere if nothing is
    locked. Locked points have their own colours and a nearness of 1.
    """
    colors, nearness = colors.clone(), torch.ones(len(points))
    if not bool(free.any()):
        return colors, nearness
    if bool(free.all()):
        return colors, torch.zeros(len(points))
    at, of = _cells(points[~free])
    seen = torch.zeros(len(at), 3).index_add_(0, of, colors[~free])
    seen /= torch.bincount(of, minlength=len(at))[:, None]
    to, of = _cells(points[free])
    found, near = torch.empty(len(to), 3), torch.empty(len(to))
    for rows in torch.arange(len(to)).split(ROWS):
        distance = torch.cdist(to[rows], at)
        weight = (distance.square() + SOFT**2) ** -2
        found[rows] = weight @ seen / weight.sum(1, keepdim=True)
        near[rows] = torch.exp(-((distance.amin(1) / REACH) ** 2))
    colors[free], nearness[free] = found[of], near[of]
    return colors, nearness


def _cells(points: Tensor) -> tuple[Tensor, Tensor]:
    """The means of the points in each cell that has any, and for each point its cell."""
    x, y, z = ((points / CELL).floor().long() + (1 << 20)).unbind(1)
    # as one number: rows are sorted thirty times more slowly
    cells, of = torch.unique((x << 42) | (y << 21) | z, return_inverse=True)
    means = torch.zeros(len(cells), 3).index_add_(0, of, points.float())
    return means / torch.bincount(of, minlength=len(cells))[:, None], of
