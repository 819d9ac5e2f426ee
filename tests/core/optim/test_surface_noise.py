"""Noise that belongs to the surface: normal in each view, and the same where two views see the same."""

from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.mesh import texture_scene
from tbsd_pack.tbsd_core.mesh.mesh import Mesh
from tbsd_pack.tbsd_core.optim import OptimConfig
from tbsd_pack.tbsd_core.optim.draws import draw
from tbsd_pack.tbsd_core.optim.surface_noise import cell_size, surface_noise
from tbsd_pack.tbsd_core.scenes import MeshTextureConfig

SIZE, CELLS = 64, 16


def seen(start: float, n: int = 2):
    import trimesh

    ball = trimesh.creation.icosphere(3)
    mesh = Mesh(ball.vertices.astype("float32"), ball.faces.astype("int64"))
    cameras = orbit(n, 10.0, start=start)
    render = texture_scene(mesh, MeshTextureConfig(resolutions=(5, 9))).render(cameras, SIZE, SIZE)
    return render.depth, render.opacity, cameras


def noise(of, seed: int = 0):
    depth, opacity, cameras = of
    cell = cell_size(3.0, 36.0, SIZE)
    return surface_noise(depth, opacity, cameras, (len(cameras), 4, CELLS, CELLS), cell, 3.0, seed)


def test_each_view_has_normal_noise():
    of = seen(0.0)
    drawn = torch.stack([noise(of, seed) for seed in range(100)])
    assert abs(drawn.mean().item()) < 0.02
    variance = drawn.var(0)
    assert abs(variance.mean().item() - 1) < 0.02 and variance.min() > 0.5 and variance.max() < 1.8
    between = (drawn[..., 1:] * drawn[..., :-1]).mean().item()
    assert between < 0.2  # neighbours share the surface cells on their edge alone
    channels = (drawn[:, :, 0] * drawn[:, :, 1]).mean().item()
    assert abs(channels) < 0.02


def test_the_background_has_cells_as_small_as_the_object():
    """With as many latents as pixels, neighbours share a cell only by chance."""
    depth, opacity, cameras = seen(0.0)
    shape, cell = (len(cameras), 4, SIZE, SIZE), cell_size(3.0, 36.0, SIZE)
    drawn = surface_noise(depth, opacity, cameras, shape, cell, 3.0, seed=0)
    behind = opacity[:, :, :, 1:].expand(-1, 4, -1, -1) < 0.5
    pairs = torch.stack([drawn[..., 1:][behind], drawn[..., :-1][behind]])
    assert abs(torch.corrcoef(pairs)[0, 1].item()) < 0.15


def test_views_of_one_place_share_its_noise_and_others_do_not():
    of = seen(0.0)
    a, near, far = noise(of), noise(seen(1.0)), noise(seen(40.0))
    assert torch.equal(a, noise(of))

    def alike(b):
        return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()

    assert alike(near) > 0.6 and abs(alike(far)) < 0.25 and abs(alike(noise(of, seed=1))) < 0.1


def test_the_noise_of_a_picture_stays_for_the_whole_run():
    fresh, fixed = OptimConfig(), OptimConfig(noise="surface")
    (t, a), (s, b) = (draw(fixed, 1000, (1, 4, 8, 8), step) for step in (3, 4))
    assert torch.equal(a, b) and not torch.equal(t, s)
    assert not torch.equal(*(draw(fresh, 1000, (1, 4, 8, 8), step)[1] for step in (3, 4)))
