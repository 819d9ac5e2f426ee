"""Training pictures of the multi-view prior: every object from rings of cameras, of which groups are taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .dataset import sample_degradations
from .degrade import degrade
from .materials import MATERIALS
from .shapes import SHAPES
from .world import render_materials, view_cameras

KEPT, DESCRIBED = "rings.safetensors", "rings.json"
N_AZIMUTHS = 16  # of a ring; the views of a group are a quarter turn apart, and up to a sixteenth off that
WIDE = 0.85  # share of groups that go around; the others see a part of the circle


@dataclass(frozen=True)
class Rings:
    """Scaled latents [S, M, 2, R, A, C, h, w] by shape, material, sound or faulty, ring and azimuth.

    Args:
        azimuth: [S, R, A] in degrees.
        elevation: [S, R] in degrees, one of all cameras of a ring.
        faults: names by shape, material and ring: the faults of all faulty pictures there.
    """

    latents: Tensor
    azimuth: Tensor
    elevation: Tensor
    faults: list[list[list[tuple[str, ...]]]]


def ring_elevations(n_rings: int, generator: torch.Generator) -> Tensor:
    """Elevations [n_rings] in degrees, spread as in `dataset.sample_views`: one in eight is overhead."""
    u = (torch.arange(n_rings) + torch.rand(n_rings, generator=generator)) / n_rings
    overhead = n_rings // 8 / n_rings
    return torch.where(u < overhead, 60 + 25 * u / max(overhead, 1e-6), -2 + 52 * (u - overhead) / (1 - overhead))


@torch.no_grad()
def build_rings(
    n_rings: int,
    seed: int,
    encode: Callable[[Tensor], Tensor],  # images [B, 3, 64, 64] in [0, 1] to scaled latents
    on_shape: Callable[[str], None] = lambda shape: None,
) -> Rings:
    """Render and encode `n_rings` rings of every shape in every material, each sound and once with faults."""
    generator = torch.Generator().manual_seed(seed)
    latents, azimuths, elevations, faults = [], [], [], []
    for shape in SHAPES:
        on_shape(shape)
        elevations.append(ring_elevations(n_rings, generator))
        start = torch.rand(n_rings, 1, generator=generator)
        jitter = torch.rand(n_rings, N_AZIMUTHS, generator=generator) - 0.5
        azimuths.append((torch.arange(N_AZIMUTHS) + start + jitter) * (360 / N_AZIMUTHS) % 360)
        of_shape: list[list[tuple[str, ...]]] = [[] for _ in MATERIALS]
        encoded = []
        for azimuth, elevation in zip(azimuths[-1], elevations[-1], strict=True):
            cameras = view_cameras(azimuth, elevation.expand(N_AZIMUTHS))
            images, _, _ = render_materials(shape, list(MATERIALS), cameras)
            both = []
            for clean, names_of in zip(images, of_shape, strict=True):
                names, strength = sample_degradations(generator)
                names_of.append(names)
                both.append(encode(torch.cat([clean, degrade(clean, names, strength, generator)])).half())
            encoded.append(torch.stack(both).unflatten(1, (2, N_AZIMUTHS)))  # [M, 2, A, C, h, w]
        latents.append(torch.stack(encoded, 2))
        faults.append(of_shape)
    return Rings(torch.stack(latents), torch.stack(azimuths), torch.stack(elevations), faults)


def load_rings(out: Path, build: Callable[[], Rings]) -> Rings:
    """The rings that an earlier call has kept in `out`, or new ones from `build`."""
    from safetensors.torch import load_file

    kept, described = out / KEPT, out / DESCRIBED
    if not described.exists():
        save_rings(out, build())
    faults = [
        [[tuple(names) for names in rings] for rings in materials]
        for materials in json.loads(described.read_text(encoding="utf-8"))
    ]
    return Rings(**load_file(str(kept)), faults=faults)


def save_rings(out: Path, rings: Rings) -> None:
    """Keep them in a folder. Their description is written last, so that it exists only if they are complete."""
    from safetensors.torch import save_file

    tensors = {"latents": rings.latents, "azimuth": rings.azimuth, "elevation": rings.elevation}
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(out / KEPT))
    (out / DESCRIBED).write_text(json.dumps(rings.faults), encoding="utf-8")


def sample_columns(n: int, views: int, generator: torch.Generator) -> Tensor:
    """Which cameras of a ring [n, views] are seen together: most groups a quarter turn apart and jittered."""
    start = torch.randint(N_AZIMUTHS, (n, 1), generator=generator)
    narrow = torch.randint(1, 4, (n, 1), generator=generator)
    stride = torch.where(torch.rand(n, 1, generator=generator) < WIDE, N_AZIMUTHS // max(views, 4), narrow)
    u = torch.rand(n, views, generator=generator)
    jitter = (u > 0.75).long() - (u < 0.25).long()
    return (start + stride * torch.arange(views) + torch.where(stride > 1, jitter, 0)) % N_AZIMUTHS
