from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world import world
from tbsd_pack.tbsd_core.renderer.background import BACKGROUND, over_background
from tbsd_pack.tbsd_core.renderer.occupancy import coarse_density, grid_points, visible_samples
from tbsd_pack.tbsd_core.renderer.sampling import sample_intervals, sphere_interval
from tbsd_pack.tbsd_core.renderer.volume import composite, render_weights


def random_rays(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rays_o = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1) * 3
    target = torch.randn(n, 3, generator=generator) * 0.5
    return rays_o, torch.nn.functional.normalize(target - rays_o, dim=-1)


def test_interval_ends_lie_on_the_sphere():
    rays_o, rays_d = random_rays(64)
    near, far = sphere_interval(rays_o, rays_d, 0.8)
    hit = far > near
    assert 10 < hit.sum() < 64
    for t in (near, far):
        radius = (rays_o + t[:, None] * rays_d).norm(dim=-1)[hit]
        assert torch.allclose(radius, torch.full_like(radius, 0.8), atol=1e-4)


def test_ray_from_inside_starts_at_zero_and_ray_away_is_empty():
    o, d = torch.tensor([[0.0, 0, 0], [0, 0, 3]]), torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    near, far = sphere_interval(o, d, 1.0)
    assert near.tolist() == [0, 0] and far.tolist() == [1, 0]


@pytest.mark.parametrize("jitter", [False, True])
def test_samples_stay_in_their_intervals_and_in_the_sphere(jitter):
    rays_o, rays_d = random_rays(32)
    near, far = sphere_interval(rays_o, rays_d, 1.0)
    u = torch.rand(32, 10, generator=torch.Generator().manual_seed(0)) if jitter else None
    t, delta = sample_intervals(near, far, 10, 1.0, u)
    ends = near[:, None] + delta.cumsum(-1)
    starts = ends - delta
    assert (starts <= t + 1e-5).all() and (t <= ends + 1e-5).all()
    assert torch.allclose(delta.sum(-1), far - near, atol=1e-5)
    inside = delta > 0
    points = rays_o[:, None] + t[..., None] * rays_d[:, None]
    assert points[inside].norm(dim=-1).max() <= 1 + 1e-5


def reference(starts, ends, t, densities, colors):
    """The discrete sum written out, one sample after the other."""
    n_rays, n_samples = starts.shape
    light = torch.ones(n_rays)
    rgb, opacity, depth = torch.zeros(n_rays, 3), torch.zeros(n_rays), torch.zeros(n_rays)
    for i in range(n_samples):
        alpha = 1 - torch.exp(-densities[:, i] * (ends[:, i] - starts[:, i]))
        w = light * alpha
        rgb, opacity, depth = rgb + w[:, None] * colors[:, i], opacity + w, depth + w * t[:, i]
        light = light * (1 - alpha)
    return rgb, opacity, depth


def test_composite_equals_the_written_out_sum_with_gradients():
    generator = torch.Generator().manual_seed(3)
    edges = torch.rand(5, 8, generator=generator).cumsum(-1)
    starts, ends = edges[:, :-1], edges[:, 1:]
    t = (starts + ends) / 2
    densities = (torch.rand(5, 7, generator=generator) * 3).requires_grad_()
    colors = torch.rand(5, 7, 3, generator=generator, requires_grad=True)
    out = composite(t, ends - starts, densities.flatten(), colors.view(-1, 3), torch.arange(35))
    rgb, opacity, depth = reference(starts, ends, t, densities, colors)
    assert torch.allclose(out.rgb, rgb, atol=1e-5)
    assert torch.allclose(out.opacity[:, 0], opacity, atol=1e-5)
    assert torch.allclose(out.depth[:, 0] * opacity, depth, atol=1e-5)
    grads = torch.autograd.grad(out.rgb.sin().sum() + out.depth.sum(), (densities, colors))
    expected = torch.autograd.grad(rgb.sin().sum() + (depth / opacity).sum(), (densities, colors))
    for a, b in zip(grads, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_homogeneous_medium_follows_beer_lambert():
    starts = torch.arange(50)[None] / 50
    n = torch.full((50,), 2.0)
    out = composite(starts + 0.01, torch.full((1, 50), 0.02), n, torch.ones(50, 3), torch.arange(50))
    assert out.opacity.item() == pytest.approx(1 - math.exp(-2), abs=1e-5)


def test_empty_rays_show_the_background():
    starts = torch.zeros(3, 4)
    none = torch.zeros(0, dtype=torch.long)
    out = composite(starts, starts + 1, torch.zeros(0), torch.zeros(0, 3), none)
    assert out.opacity.abs().max() == 0 and out.depth.abs().max() == 0
    assert torch.allclose(over_background(out.rgb, out.opacity)[0], torch.tensor(BACKGROUND))


def test_background_is_the_small_worlds():
    assert BACKGROUND == world.BACKGROUND


def test_skipped_samples_do_not_change_the_image():
    """A soft ball rendered with and without skipping: equal to within the light the skipping may lose."""

    def density(p):
        return torch.sigmoid((0.5 - p.norm(dim=-1)) * 40) * 12

    rays_o, rays_d = random_rays(200, seed=2)
    near, far = sphere_interval(rays_o, rays_d, 1.0)
    t, delta = sample_intervals(near, far, 48, 1.0)
    rendered, counts = [], []
    for resolution in (0, 32):
        coarse = coarse_density(density, 1.0, grid_points(1.0, resolution)) if resolution else None
        index = visible_samples(coarse, rays_o, rays_d, t, delta)
        points = (rays_o[:, None] + t[..., None] * rays_d[:, None]).view(-1, 3)[index]
        out = composite(t, delta, density(points), points * 0.5 + 0.5, index)
        rendered.append(out.rgb)
        counts.append(len(index))
    assert counts[1] < 0.6 * counts[0]
    assert (rendered[0] - rendered[1]).abs().max() < 0.003


@pytest.mark.parametrize("strength", [0.1, 5.0, 200.0])
def test_weights_and_their_gradient_are_nerfaccs(strength):
    nerfacc = pytest.importorskip("nerfacc")
    generator = torch.Generator().manual_seed(3)
    edges = torch.rand(20, 13, generator=generator, dtype=torch.float64).cumsum(-1)
    densities = torch.rand(20, 12, generator=generator, dtype=torch.float64).mul(strength).requires_grad_()
    found = render_weights(densities, edges.diff())
    expected = nerfacc.render_weight_from_density(edges[:, :-1], edges[:, 1:], densities)[0]
    assert torch.allclose(found, expected, atol=1e-14)
    target = torch.randn(20, 12, generator=generator, dtype=torch.float64)
    grads = [torch.autograd.grad((w * target).sum(), densities)[0] for w in (found, expected)]
    assert torch.allclose(*grads, rtol=1e-9, atol=1e-14)


def test_kept_are_the_samples_in_front_of_what_blocks_the_ray_and_not_in_the_void():
    """Oracle: one ray after the other, one sample after the other."""
    generator = torch.Generator().manual_seed(5)
    resolution, bound = 9, 0.8
    value, chance = torch.rand(2, resolution**3, generator=generator)
    points = grid_points(bound, resolution)
    values = value**4 * 40 * (chance < 0.03) + 25 * (points[:, 0] < 0.1)  # specks, and a solid half
    coarse = coarse_density(lambda p: values, bound, points)
    field = values.view(resolution, resolution, resolution)
    rays_o, rays_d = random_rays(30, seed=4)
    t, delta = sample_intervals(*sphere_interval(rays_o, rays_d, bound), 16, bound)
    expected = []
    for ray in range(30):
        blocked = 0.0
        for i in range(16):
            place = (rays_o[ray] + t[ray, i] * rays_d[ray] + bound) / (2 * bound) * (resolution - 1)
            x, y, z = (min(max(round(v), 0), resolution - 1) for v in place.tolist())
            around = field[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2, max(z - 1, 0) : z + 2]
            if float(around.max() * delta[ray, i]) > 1e-3 and blocked < -math.log(1e-3):
                expected.append(ray * 16 + i)
            blocked += float(around.min() * delta[ray, i])
    assert visible_samples(coarse, rays_o, rays_d, t, delta).tolist() == expected
    assert 20 < len(expected) < 400
