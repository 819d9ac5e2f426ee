"""Do the views of a turn belong to one object, or does its face come back on another side (Janus)?

No network: an image encoder is blind to exactly this, since the front of a house is a fine picture of a house
wherever the camera stands. `view_repetition` needs only the views; `view_errors` knows the object of the small world.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..priors.small_world.viewpoint import GRID, view_posterior
from ..priors.small_world.world import render_truth
from .image_stats import foreground

SIZE = 16  # pixels at which views are compared: the layout of a side, not its grain
NEAR = (30.0, 60.0)  # degrees between a view and its neighbours
FAR = 90.0  # degrees from which a view shows another side
SAME = 0.6  # distance (of 2) below which views show the same: a correlation of 0.82
FRONT = 45.0  # degrees on either side of the front that show it, as the view words have it
TOLERANCE = 1e-3  # degrees: angles come from sums of floats


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Absolute difference of azimuths in degrees, 0 to 180, with broadcasting."""
    return ((a - b + 180) % 360 - 180).abs()


@torch.no_grad()
def view_repetition(views: Tensor, azimuth: Tensor) -> float:
    """How far a turn repeats itself: 1 if every view comes back on another side, near 0.5 if none does.

    Each view is reduced to 16 pixels, freed of the mean colour of its foreground (light differs with the side)
    and scaled to norm 1. With d the distance of two such views,
        repetition = mean over views of  near / (near + far),
        near = max(0.6, mean d to the views 30 to 60 degrees away),  far = min d to the views 90 degrees and more away.
    The neighbours say how much a turn changes this object, so that detail and contrast cancel: a solid looks as
    different from the other side as from a little further on, or more so (0.5 or less), and a face that is there
    twice has a far view at distance 0 (1). The floor of `near` makes a turn on which nothing changes 1 as well.

    Only for comparing results of one prompt: pictures alone cannot tell a face that repeats from an object that
    does. True objects of the small world lie between 0.46 and 0.86 (a dotted cube has much the same on each side).
    A mirror image counts as different, because the back of a solid mirrors the outline of its front while a
    Janus face does not.

    Args:
        views: [V, 3, H, W] in [0, 1] in front of a plain background.
        azimuth: [V] in degrees; in any order, and no steps larger than 60 degrees on a full turn.

    Raises:
        ValueError: the shapes disagree, or a view has no neighbour or no view of another side.
    """
    check_images(views)
    if azimuth.shape != (len(views),):
        raise ValueError(f"{len(views)} views need as many azimuths, got the shape {list(azimuth.shape)}.")
    apart = angle_between(azimuth[:, None], azimuth[None]).to(views.device)
    is_near = (apart >= NEAR[0] - TOLERANCE) & (apart <= NEAR[1] + TOLERANCE)
    is_far = apart >= FAR - TOLERANCE
    if not bool(is_near.any(1).all() and is_far.any(1).all()):
        raise ValueError(
            f"Each view needs another one {NEAR[0]:g} to {NEAR[1]:g} degrees away and one at least {FAR:g} degrees "
            f"away; the {len(views)} azimuths {_listed(azimuth)} lack some. Render 8 or more views on a full turn."
        )
    layout = _layout(views.float())
    distance = torch.cdist(layout, layout, compute_mode="donot_use_mm_for_euclid_dist")
    near = ((distance * is_near).sum(1) / is_near.sum(1)).clamp(min=SAME)
    far = distance.masked_fill(~is_far, torch.inf).amin(1)
    return float((near / (near + far)).mean())


def _layout(views: Tensor) -> Tensor:
    """Rows [V, D] of norm 1 (0 without a foreground): the colours on the object less their mean."""
    mask = F.interpolate(foreground(views).float(), (SIZE, SIZE), mode="area")
    small = F.interpolate(views, (SIZE, SIZE), mode="area")
    mean = (small * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp(min=1)
    return F.normalize(((small - mean) * mask).flatten(1), dim=1)


@torch.no_grad()
def view_errors(views: Tensor, shape: str, material: str, cameras: Cameras) -> dict[str, float]:
    """How far views of a known object seem to be taken from another side than their true renders.

    The posterior over azimuths (viewpoint.py) of a view is compared with the posterior of the true render from the same
    camera rather than with the angle itself: a side that a symmetric object has twice is not an error.

    Args:
        views: [V, 3, H, W] in [0, 1].
        cameras: V of them, at the small world's distance and field of view.

    Returns:
        view_error: mean distance of the two posteriors on the circle of azimuths, in degrees: 0 is perfect,
            180 means that every view is seen from the opposite side (Wasserstein-1).
        janus: mean over the views from 90 degrees on of the probability that they show the front, as far as it exceeds
            the true render's: 0 is perfect, 1 means that the front is all around.

    Raises:
        ValueError: the shapes disagree, or no view is at least 90 degrees from the front.
    """
    check_images(views)
    if len(cameras) != len(views):
        raise ValueError(f"{len(views)} views need as many cameras, got {len(cameras)}.")
    azimuth, elevation = cameras.azimuth.cpu(), cameras.elevation.cpu()
    is_behind = angle_between(azimuth, torch.zeros(())) >= FAR - TOLERANCE
    if not bool(is_behind.any()):
        raise ValueError(
            f"Janus shows on the sides and the back: at least one view must be {FAR:g} degrees or more from the front, "
            f"got the azimuths {_listed(azimuth)}."
        )
    truth = render_truth(shape, material, cameras.to("cpu"), views.shape[-1]).images
    found, expected = torch.empty(2, len(views), len(GRID))
    for height in elevation.unique().tolist():
        rows = elevation == height
        found[rows] = view_posterior(views[rows.to(views.device)].float().cpu(), shape, material, height)
        expected[rows] = view_posterior(truth[rows], shape, material, height)
    is_front = angle_between(torch.tensor(GRID), torch.zeros(())) <= FRONT
    excess = (found - expected)[:, is_front].sum(1).clamp(min=0)
    return {
        "view_error": float(circular_wasserstein(found, expected).mean()),
        "janus": float(excess[is_behind].mean()),
    }


def circular_wasserstein(p: Tensor, q: Tensor) -> Tensor:
    """Wasserstein-1 distance [B] in degrees of distributions [B, K] on K equal steps of a circle.

    The least work over all places to cut the circle: the cumulative difference less its median
    (Werman et al., A distance metric for multidimensional histograms, CVGIP 32 (1985)).
    """
    flow = (p - q).cumsum(1)
    return (flow - flow.median(1, keepdim=True)[0]).abs().sum(1) * (360 / p.shape[1])


def check_images(views: Tensor) -> None:
    """Raise ValueError unless `views` are pictures [V, 3, H, W]."""
    if views.ndim != 4 or views.shape[1] != 3:
        raise ValueError(f"Views of a turn must be pictures [V, 3, H, W], got {list(views.shape)}.")


def _listed(azimuth: Tensor) -> str:
    return ", ".join(f"{a:g}" for a in azimuth.tolist())
