from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.pose import Cameras
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.renderer.splatting import (
    Splats,
    choose_backend,
    intrinsics,
    project_splats,
    rotation_matrices,
    splat_gsplat,
    splat_reference,
    view_matrices,
)

FIELDS = [f.name for f in dataclasses.fields(Splats)]


def cameras(n: int = 2, dtype: torch.dtype = torch.float64) -> Cameras:
    return Cameras(*(getattr(orbit(n, 20.0), f.name).to(dtype) for f in dataclasses.fields(Cameras)))


def some(n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Splats:
    g = torch.Generator().manual_seed(seed)
    return Splats(
        torch.randn(n, 3, generator=g, dtype=dtype) * 0.4,
        torch.randn(n, 4, generator=g, dtype=dtype),
        torch.exp(torch.randn(n, 3, generator=g, dtype=dtype) * 0.5 - 2),
        torch.rand(n, generator=g, dtype=dtype),
        torch.rand(n, 3, generator=g, dtype=dtype),
    )


def draw(splats: Splats, views: Cameras, h: int = 12, w: int = 14) -> torch.Tensor:
    """Colour, opacity and depth, [B, H, W, 5]."""
    return torch.cat(splat_reference(splats, view_matrices(views), intrinsics(views, h, w), h, w), -1)


def test_one_ball_seen_head_on_is_a_gaussian_in_the_image():
    scale, size = 0.2, 21
    views = cameras(1)[0:1]
    views = dataclasses.replace(views, elevation=torch.zeros(1, dtype=torch.float64))
    one = some(1)
    one = dataclasses.replace(
        one, means=one.means * 0, scales=torch.full_like(one.scales, scale), opacities=one.opacities * 0 + 0.7
    )
    focal = size / 2 / math.tan(math.radians(float(views.fov_y[0])) / 2)
    distance = float(views.distance[0])
    variance = (focal * scale / distance) ** 2 + 0.3
    x = torch.arange(size, dtype=torch.float64) + 0.5 - size / 2
    alpha = 0.7 * torch.exp(-(x[:, None] ** 2 + x[None] ** 2) / 2 / variance)
    alpha = alpha * (alpha >= 1 / 255)
    out = draw(one, views, size, size)[0]
    assert torch.allclose(out[..., 3], alpha, atol=1e-9)
    assert torch.allclose(out[..., :3], alpha[..., None] * one.colors[0], atol=1e-9)
    assert torch.allclose(out[..., 4], alpha * distance, atol=1e-8)


def test_many_equal_a_loop_over_gaussians_from_near_to_far():
    """Oracle: matrices of the textbook, pixel by pixel; depth along the view, Jacobian by autograd."""
    splats, views, h, w = some(30), cameras(2), 9, 11
    splats = dataclasses.replace(splats, means=splats.means.clamp(-0.5, 0.5))  # in sight: no clamped Jacobian
    found = draw(splats, views, h, w)
    for b in range(2):
        c2w = views.c2w()[b]
        focal = h / 2 / math.tan(math.radians(float(views.fov_y[b])) / 2)

        def screen(p, c2w=c2w, focal=focal):
            right, up, back = (p - c2w[:3, 3]) @ c2w[:3, :3]
            return torch.stack([w / 2 - focal * right / back, h / 2 + focal * up / back])

        rows = []
        for i in range(30):
            a, v = splats.quats[i, 0], splats.quats[i, 1:]
            k = torch.zeros(3, 3, dtype=torch.float64)
            k[0, 1], k[0, 2], k[1, 2] = -v[2], v[1], -v[0]
            k = k - k.T
            n = a * a + v @ v
            rotation = torch.eye(3, dtype=torch.float64) + 2 * (a * k + k @ k) / n  # Rodrigues
            m = rotation @ torch.diag(splats.scales[i] ** 2) @ rotation.T
            j = torch.autograd.functional.jacobian(screen, splats.means[i])
            inverse = torch.linalg.inv(j @ m @ j.T + 0.3 * torch.eye(2, dtype=torch.float64))
            depth = float((c2w[:3, 3] - splats.means[i]) @ c2w[:3, 2])
            rows.append((depth, i, screen(splats.means[i]), inverse))
        rows.sort(key=lambda row: row[0])
        for y in range(h):
            for x in range(w):
                left, total = 1.0, torch.zeros(5, dtype=torch.float64)
                for depth, i, center, inverse in rows:
                    d = torch.tensor([x + 0.5, y + 0.5], dtype=torch.float64) - center
                    alpha = min(0.999, float(splats.opacities[i] * torch.exp(-0.5 * d @ inverse @ d)))
                    if alpha < 1 / 255:
                        continue
                    if left * (1 - alpha) <= 1e-4:
                        break
                    total += left * alpha * torch.tensor([*splats.colors[i], 1.0, depth], dtype=torch.float64)
                    left *= 1 - alpha
                assert torch.allclose(found[b, y, x], total, atol=1e-8), (b, y, x)


@pytest.mark.parametrize("x, y", [(0.2, -0.1), (3.0, 0.1), (-3.0, 0.1), (0.1, 2.5), (-0.1, -2.5), (40.0, -30.0)])
def test_far_outside_the_image_the_jacobian_is_that_of_its_margin(x, y):
    """Oracle: autograd at the point of the same depth that lies 1.3 half images from the axis, or at the own one."""
    views, h, w, depth = cameras(1), 12, 14, 2.0
    viewmats, ks = view_matrices(views), intrinsics(views, h, w)
    rotation, shift = viewmats[0, :3, :3], viewmats[0, :3, 3]
    point = torch.tensor([x, y, depth], dtype=torch.float64)
    one = dataclasses.replace(some(1), means=(rotation.T @ (point - shift))[None])
    centers, covariance, depths = project_splats(one, viewmats, ks, h, w)
    focal = float(ks[0, 0, 0])

    def screen(p):
        return focal * p[:2] / p[2] + torch.tensor([w / 2, h / 2], dtype=torch.float64)

    edge = 1.3 * torch.tensor([w, h], dtype=torch.float64) / 2 / focal * depth
    near = torch.cat([point[:2].clamp(-edge, edge), point[2:]])
    j = torch.autograd.functional.jacobian(screen, near)
    (axes,) = rotation_matrices(one.quats)
    m = rotation @ axes @ torch.diag(one.scales[0] ** 2) @ axes.T @ rotation.T
    expected = j @ m @ j.T + 0.3 * torch.eye(2, dtype=torch.float64)
    assert torch.allclose(centers[0, 0], screen(point)) and depths[0, 0].item() == pytest.approx(depth)
    assert torch.allclose(covariance[0, 0], expected[[0, 0, 1], [0, 1, 1]])


@pytest.mark.parametrize("nudge, drawn", [(1e-4, True), (-1e-4, False)])
def test_a_splat_at_the_cut_off_makes_a_jump_of_one_part_in_255(nudge, drawn):
    """Why two rasterisers that agree to rounding may differ by 1/255 at single pixels."""
    views, size = dataclasses.replace(cameras(1), elevation=torch.zeros(1, dtype=torch.float64)), 9
    one = dataclasses.replace(some(1), means=torch.zeros(1, 3, dtype=torch.float64))
    one = dataclasses.replace(one, opacities=torch.full((1,), (1 + nudge) / 255, dtype=torch.float64))
    alpha = draw(one, views, size, size)[0, ..., 3]
    assert alpha[4, 4].item() == pytest.approx((1 + nudge) / 255 if drawn else 0.0)
    assert (alpha > 0).sum() == drawn


@pytest.mark.parametrize("name", FIELDS)
def test_finite_differences_agree_with_the_gradient(name):
    splats, views = some(5, seed=3), cameras(2)
    splats = dataclasses.replace(splats, opacities=splats.opacities * 0.8)
    value = getattr(splats, name).clone().requires_grad_()
    target = torch.rand(2, 12, 14, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(x):
        out = draw(dataclasses.replace(splats, **{name: x}), views)
        return ((out - target) * (out.detach()[..., 3:4] > 0)).square().sum()

    (grad,) = torch.autograd.grad(loss(value), value)
    direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        h = 1e-7  # small, so that no pixel crosses the cut-off at 1/255
        numeric = (loss(value + h * direction) - loss(value - h * direction)) / (2 * h)
    assert grad.abs().max() > 0
    assert numeric.item() == pytest.approx((grad * direction).sum().item(), rel=1e-4)


def test_the_order_in_memory_does_not_matter():
    splats, views = some(40), cameras()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    other = Splats(*(getattr(splats, name)[order] for name in FIELDS))
    assert torch.allclose(draw(splats, views), draw(other, views), atol=1e-12)


def test_nothing_and_what_is_behind_the_camera_draw_nothing():
    assert draw(some(0), cameras()).abs().max() == 0
    splats = some(10)
    position = cameras(1).c2w()[0, :3, 3]
    means = (position * 2).expand(10, 3).clone().requires_grad_()
    out = draw(dataclasses.replace(splats, means=means), cameras(1))
    assert out.abs().max() == 0
    out.sum().backward()
    assert means.grad.abs().max() == 0
    assert draw(dataclasses.replace(splats, opacities=splats.opacities * 0), cameras()).abs().max() == 0


def test_wrong_shapes_and_missing_devices_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        dataclasses.replace(some(3), opacities=torch.zeros(3, 1))
    assert choose_backend("auto", torch.device("cpu")) is splat_reference
    views = cameras(1)
    with pytest.raises((ImportError, ValueError), match="pip install gsplat|CUDA"):
        splat_gsplat(some(3), view_matrices(views), intrinsics(views, 8, 8), 8, 8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_equal_to_gsplat():
    pytest.importorskip("gsplat")
    splats = some(2000, dtype=torch.float32)
    splats = Splats(*(getattr(splats, name).cuda() for name in FIELDS))
    views = cameras(3, torch.float32).to("cuda")
    arguments = (splats, view_matrices(views), intrinsics(views, 64, 80), 64, 80)
    for ours, theirs in zip(splat_reference(*arguments), splat_gsplat(*arguments), strict=True):
        error = (ours - theirs).abs()
        # a pixel at a cut-off may take one Gaussian more on either side
        assert error.median() < 1e-5 and (error > 1e-4).float().mean() < 2e-3


@pytest.mark.parametrize("rows", [1, 5, 12, 17])
def test_a_few_rows_at_once_give_the_same_values_and_gradients(rows):
    splats, views, h, w = some(40), cameras(3), 12, 14
    target = torch.randn(3, h, w, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    outs, grads = [], []
    for at_once in (3 * h, rows):
        tensors = [getattr(splats, name).clone().requires_grad_() for name in FIELDS]
        found = splat_reference(Splats(*tensors), view_matrices(views), intrinsics(views, h, w), h, w, at_once)
        outs.append(torch.cat(found, -1))
        grads.append(torch.autograd.grad((outs[-1] * target).sum(), tensors))
    assert torch.allclose(*outs, atol=1e-12)
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(*grads, strict=True))
