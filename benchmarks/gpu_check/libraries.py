"""Optional libraries on CUDA against the torch path, with their speed: gsplat and nerfacc."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tbsd_core.cameras.sampling import orbit
from tbsd_core.renderer.splatting import Splats, intrinsics, splat_gsplat, splat_reference, view_matrices

from .cases import Cases, Failed, Skipped, synchronize

N_SPLATS, VIEWS, SIZE = 6000, 4, 256
N_RAYS, N_SAMPLES = 65536, 64
ROUNDS = 20
PICTURE, GRADIENT = 2e-3, 0.05  # mean difference of a pixel; relative difference of a gradient


def run(cases: Cases) -> None:
    cases.run("gsplat", lambda: gsplat(cases))
    cases.run("nerfacc", lambda: nerfacc(cases))


def gsplat(cases: Cases) -> dict[str, Any]:
    needs("gsplat", cases)
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(N_SPLATS, 3, generator=generator) * 0.3
    parts = [means, torch.randn(N_SPLATS, 4, generator=generator), torch.rand(N_SPLATS, 3, generator=generator)]
    parts[2] = 0.01 + 0.04 * parts[2]
    parts += [0.1 + 0.8 * torch.rand(N_SPLATS, generator=generator), torch.rand(N_SPLATS, 3, generator=generator)]
    leaves = [part.cuda().requires_grad_() for part in parts]
    cameras = orbit(VIEWS).to("cuda")
    views = view_matrices(cameras), intrinsics(cameras, SIZE, SIZE), SIZE, SIZE
    pair = [lambda draw=draw: draw(Splats(*leaves), *views)[0] for draw in (splat_reference, splat_gsplat)]
    return same(pair[0], pair[1], leaves)


def nerfacc(cases: Cases) -> dict[str, Any]:
    """Rays of many samples, packed for nerfacc's kernels, and composited as a batch by torch."""
    needs("nerfacc", cases)
    if importlib.util.find_spec("nerfacc.csrc") is None:
        raise Skipped("this nerfacc has no compiled kernels and would compile them for minutes")
    import nerfacc as library

    generator = torch.Generator().manual_seed(0)
    ends = torch.linspace(0, 1, N_SAMPLES + 1).expand(N_RAYS, -1).cuda()
    starts, ends = ends[:, :-1].contiguous(), ends[:, 1:].contiguous()
    densities = (5 * torch.rand(N_RAYS * N_SAMPLES, generator=generator)).cuda().requires_grad_()
    colors = torch.rand(N_RAYS * N_SAMPLES, 3, generator=generator).cuda().requires_grad_()
    rays = torch.arange(N_RAYS * N_SAMPLES, device="cuda") // N_SAMPLES

    def ours() -> Tensor:
        depths = densities.view(N_RAYS, N_SAMPLES) * (ends - starts)
        weights = (1 - torch.exp(-depths)) * torch.exp(depths - depths.cumsum(1))
        return (weights[..., None] * colors.view(N_RAYS, N_SAMPLES, 3)).sum(1)

    def theirs() -> Tensor:
        flat = starts.flatten(), ends.flatten(), densities
        weights, _, _ = library.render_weight_from_density(*flat, ray_indices=rays, n_rays=N_RAYS)
        return library.accumulate_along_rays(weights, colors, ray_indices=rays, n_rays=N_RAYS)

    return same(ours, theirs, [densities, colors])


def needs(name: str, cases: Cases) -> None:
    if importlib.util.find_spec(name) is None:
        raise Skipped("not installed")
    if cases.device != "cuda":
        raise Skipped("its kernels need CUDA")


def same(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], leaves: Sequence[Tensor]) -> dict[str, Any]:
    """The difference of two pictures and of their gradients, and the milliseconds of each with its backward pass."""
    pictures = [draw() for draw in (ours, theirs)]
    weights = torch.randn(pictures[0].shape, generator=torch.Generator().manual_seed(1)).to(pictures[0].device)
    gradients = [torch.autograd.grad((picture * weights).sum(), leaves) for picture in pictures]
    values: dict[str, Any] = {
        "picture": float((pictures[0] - pictures[1]).abs().mean()),
        "gradient": max(float((a - b).norm() / a.norm().clamp(min=1e-12)) for a, b in zip(*gradients, strict=True)),
    }
    for name, draw in (("torch ms", ours), ("library ms", theirs)):
        values[name] = 1000 * median(seconds(draw, weights, leaves) for _ in range(ROUNDS))
    if not (values["picture"] <= PICTURE and values["gradient"] <= GRADIENT):
        raise Failed(f"another picture than that of torch: at most {PICTURE} and {GRADIENT} are rounding", values)
    return values


def seconds(draw: Callable[[], Tensor], weights: Tensor, leaves: Sequence[Tensor]) -> float:
    synchronize("cuda")
    start = time.perf_counter()
    torch.autograd.grad((draw() * weights).sum(), leaves)
    synchronize("cuda")
    return time.perf_counter() - start
