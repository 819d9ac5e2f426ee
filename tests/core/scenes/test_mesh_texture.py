from __future__ import annotations

import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.experiment import load_scene, save_scene
from tbsd_pack.tbsd_core.mesh import Mesh, PlacementConfig, texture_scene
from tbsd_pack.tbsd_core.priors.small_world import world
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh
from tbsd_pack.tbsd_core.scenes import MeshTextureConfig, MeshTextureScene
from tbsd_pack.tbsd_core.scenes.kept_texture import KeptTexture
from tbsd_pack.tbsd_core.scenes.mesh_texture import soft_light
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

TINY = MeshTextureConfig(resolutions=(5, 9))


def box_scene(config: MeshTextureConfig = TINY, std: float = 0.0) -> MeshTextureScene:
    shape = trimesh.creation.box()
    scene = texture_scene(Mesh(shape.vertices.astype("float32"), shape.faces.astype("int64")), config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in scene.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * std)
    return scene


def test_light_and_background_are_the_small_worlds():
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert torch.allclose(soft_light(normals)[:, 0], world.shade(normals), atol=1e-6)
    assert MeshTextureConfig().background == world.BACKGROUND


def test_outline_and_depth_are_the_truth_of_the_solid():
    """Oracle: the small world's ray tracer."""
    scene = texture_scene(sample_mesh("mushroom", 64), TINY, PlacementConfig(radius=None))
    cameras = world.view_cameras(torch.tensor([10.0, 130.0]), torch.tensor([5.0, 40.0]))
    out, truth = scene.render(cameras, 32, 32), world.render_truth("mushroom", "brick", cameras, 32)
    assert (out.opacity - truth.mask).abs().mean() < 0.01
    inside = (out.opacity > 0.99) & (truth.mask > 0.99)
    # but for pixels that see the cap in part and the stalk behind it in part
    assert (out.depth - truth.depth)[inside].abs().quantile(0.95) < 0.02
    assert not out.opacity.requires_grad


def test_a_grey_mesh_is_lit_or_not():
    for shading in ("none", "soft"):
        scene = box_scene(MeshTextureConfig(resolutions=(5,), shading=shading))
        out = scene.render(orbit(1, 30.0), 32, 32)
        pixels = out.rgb[0, 0][out.opacity[0, 0] > 0.99].detach()
        assert (float(pixels.max() - pixels.min()) > 0.05) == (shading == "soft")


def test_white_in_bright_light_can_be_painted():
    """It is shown as 1 and no more, and has a gradient there."""
    ball = trimesh.creation.icosphere(2)
    mesh = Mesh(ball.vertices.astype("float32"), ball.faces.astype("int64"))
    scene = texture_scene(mesh, MeshTextureConfig(resolutions=(5,), shading="soft"))
    with torch.no_grad():
        for p in scene.parameters():
            p.fill_(8.0)
    out = scene.render(orbit(4, 40.0), 24, 24)
    bright = out.rgb >= 1 - 1e-6
    assert bright.any() and (out.rgb <= 1 + 1e-6).all()
    assert torch.autograd.grad(out.rgb[bright].sum(), next(scene.parameters()))[0].abs().sum() > 0


def test_both_sides_are_painted():
    scene = box_scene()
    flipped = box_scene()
    with torch.no_grad():
        flipped.faces.copy_(flipped.faces.flip(-1))
        flipped.corner_normals.copy_(-flipped.corner_normals.flip(1))
    a, b = scene.render(orbit(2), 16, 16), flipped.render(orbit(2), 16, 16)
    assert torch.allclose(a.rgb, b.rgb, atol=1e-5)


def test_gradient_agrees_with_finite_differences():
    scene = box_scene(std=0.3).double()
    cameras = orbit(1, 30.0)
    cameras = type(cameras)(*(getattr(cameras, n).double() for n in ("azimuth", "elevation", "distance", "fov_y")))
    target = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (scene.render(cameras, 8, 8).rgb - target).square().sum()

    grid = scene.encoding.levels[1]
    (grad,) = torch.autograd.grad(loss(), grid)
    direction = torch.randn(grid.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            grid.add_(direction, alpha=sign * 1e-6)
            values.append(loss())
            grid.sub_(direction, alpha=sign * 1e-6)
    assert ((values[0] - values[1]) / 2e-6).item() == pytest.approx((grad * direction).sum().item(), rel=1e-4)


def test_it_is_saved_loaded_and_copied_with_its_geometry(tmp_path):
    scene = box_scene(std=0.5)
    save_scene(scene, tmp_path / "box.safetensors")
    views = orbit(2)
    expected = scene.render(views, 16, 16).rgb
    for other in (load_scene(tmp_path / "box.safetensors"), copy_scene(scene)):
        assert torch.equal(other.render(views, 16, 16).rgb, expected)


def test_a_file_with_impossible_faces_is_refused(tmp_path):
    scene = box_scene()
    with torch.no_grad():
        scene.faces[0, 0] = 10**7
    save_scene(scene, tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match="beyond the 8 there are"):
        load_scene(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_vertices": 10**9},
        {"n_faces": 0},
        {"n_uvs": 2},
        {"resolutions": (4096,)},
        {"resolutions": ()},
        {"encoding": "octree"},
        {"shading": "toon"},
        {"supersample": 0},
        {"tv_weight": -1.0},
        {"background": (2.0, 0.0, 0.0)},
    ],
)
def test_config_ranges(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        MeshTextureConfig(**wrong)


def test_a_range_is_told_in_full():
    with pytest.raises(ValueError, match=r"n_vertices must be in \[1, 5000000\], got 0"):
        MeshTextureConfig(n_vertices=0)


@pytest.mark.parametrize("side", [256, 250, 515])
def test_smaller_sizes_of_a_kept_texture_lie_where_the_texture_does(side):
    across = (torch.arange(side) + 0.5) / side
    ramp = (across * 255).round().to(torch.uint8)[None, :, None].expand(side, side, 3).contiguous()
    kept = KeptTexture(ramp, torch.ones(side, side))
    u = torch.linspace(0.2, 0.8, 9)
    for texels in (1.0, 16.0, 256.0):
        found = kept.seen_at(torch.stack([u, u], -1), texels)[0][:, 0]
        assert (found - u).abs().max() < 1 / 255
