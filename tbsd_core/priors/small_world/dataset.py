"""Training images of the small world: random views of every object, clean and with composed faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...cameras.hints import depth_hint
from .degrade import DEGRADATIONS, degrade
from .materials import MATERIALS
from .shapes import SHAPES
from .world import IMAGE_SIZE, render_materials, view_cameras, view_of


@dataclass(frozen=True)
class Label:
    """The true facts about one training image."""

    shape: str
    material: str
    view: str
    degradations: tuple[str, ...]
    hint: int = 0  # index of the hint for its camera and shape


@dataclass(frozen=True)
class Dataset:
    """Images [N, 3, H, W] as uint8 and one label each; depth hints [V, 1, H, W] of the views they were made from."""

    images: Tensor
    labels: list[Label]
    hints: Tensor


def sample_views(n_views: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Azimuths and elevations [n_views] in degrees: stratified around, one in eight from overhead."""
    azimuth = (torch.arange(n_views) + torch.rand(n_views, generator=generator)) * (360 / n_views)
    azimuth = azimuth[torch.randperm(n_views, generator=generator)]
    u = torch.rand(n_views, generator=generator)
    n_overhead = n_views // 8
    elevation = torch.cat([60 + 25 * u[:n_overhead], -2 + 52 * u[n_overhead:]])
    return azimuth, elevation


def sample_degradations(generator: torch.Generator) -> tuple[tuple[str, ...], float]:
    """A random non-empty set of faults and their strength; larger sets come weaker."""
    u = float(torch.rand((), generator=generator))
    count = 1 if u < 0.40 else 2 if u < 0.62 else 3 if u < 0.76 else 4 if u < 0.86 else 5 if u < 0.96 else 6
    order = torch.randperm(len(DEGRADATIONS), generator=generator).tolist()[:count]
    names = list(DEGRADATIONS)
    strength = float(torch.rand((), generator=generator))
    return tuple(names[i] for i in order), strength * (1.0 if count <= 2 else 0.6)


@torch.no_grad()
def build_dataset(
    n_views: int = 320,
    seed: int = 0,
    size: int = IMAGE_SIZE,
    on_shape: Callable[[str], None] = lambda shape: None,
) -> Dataset:
    """Render every shape x material from `n_views` random views, each clean and once degraded."""
    generator = torch.Generator().manual_seed(seed)
    images, labels, hints = [], [], []
    for shape in SHAPES:
        on_shape(shape)
        azimuth, elevation = sample_views(n_views, generator)
        views = [view_of(float(a), float(e)) for a, e in zip(azimuth, elevation, strict=True)]
        for start in range(0, n_views, 40):
            chunk = slice(start, start + 40)
            cameras = view_cameras(azimuth[chunk], elevation[chunk])
            rendered, mask, depth = render_materials(shape, list(MATERIALS), cameras, size)
            first = sum(map(len, hints))
            hints.append((depth_hint(depth, mask, cameras)[:, :1] * 255).round().byte())
            for material, clean in zip(MATERIALS, rendered, strict=True):
                for hint, (image, view) in enumerate(zip(clean, views[chunk], strict=True), first):
                    names, strength = sample_degradations(generator)
                    bad = degrade(image[None], names, strength, generator)[0]
                    images += [(image * 255).round().byte(), (bad * 255).round().byte()]
                    labels += [Label(shape, material, view, (), hint), Label(shape, material, view, names, hint)]
    return Dataset(torch.stack(images), labels, torch.cat(hints))
