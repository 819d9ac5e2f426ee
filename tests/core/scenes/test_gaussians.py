from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, orbit, sample_cameras
from tbsd_pack.tbsd_core.color import SH_C0
from tbsd_pack.tbsd_core.experiment import load_scene, save_scene
from tbsd_pack.tbsd_core.priors.small_world import world
from tbsd_pack.tbsd_core.rng import named_generator
from tbsd_pack.tbsd_core.scenes import AdaptiveScene, GaussianConfig, GaussianScene, NeRFConfig, NeRFScene, Scene3D
from tbsd_pack.tbsd_core.scenes.base import ShrinkingScene
from tbsd_pack.tbsd_core.scenes.relocation import draw_targets, shared_opacity_and_scale
from tbsd_pack.tbsd_core.scenes.splat_ply import NAMES, write_splats

TINY = GaussianConfig(n_gaussians=200)


def optimizer_of(scene: GaussianScene) -> torch.optim.Adam:
    optimizer = torch.optim.Adam(scene.parameter_groups(0.02))
    scene.render(orbit(2), 16, 16).rgb.sum().backward()
    optimizer.step()
    return optimizer


def test_it_starts_as_a_ball_and_has_no_volume():
    scene = GaussianScene(GaussianConfig(n_gaussians=1000))
    out = scene.render(orbit(1), 24, 24, with_normal=True)
    assert out.opacity[0, 0, 12, 12] > 0.5 and out.opacity[0, 0, 0, 0] == 0
    assert torch.allclose(out.rgb[0, :, 0, 0], torch.tensor(world.BACKGROUND))
    assert 2.2 < out.depth[0, 0, 12, 12] < 3.2 and out.depth[0, 0, 0, 0] == 0
    assert out.normal[0, 2, 12, 12] > 0.8 and out.normal[0, 1, 8, 12] > 0
    assert isinstance(scene, AdaptiveScene) and not isinstance(scene, Scene3D)
    nerf = NeRFScene(NeRFConfig(resolutions=(5,), n_samples=4))
    assert isinstance(nerf, Scene3D) and not isinstance(nerf, AdaptiveScene)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shared_places_keep_the_centre_and_the_integral_of_the_picture(count):
    """Oracle: a line of samples through a Gaussian, composited n times over."""
    o = torch.tensor([0.3, 0.9], dtype=torch.float64)
    new, factor = shared_opacity_and_scale(o, torch.tensor([count, count]))
    assert torch.allclose(1 - (1 - new) ** count, o)
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    before = o[:, None] * torch.exp(-(x**2) / 2)
    after = 1 - (1 - new[:, None] * torch.exp(-(x**2) / 2 / factor[:, None] ** 2)) ** count
    assert torch.allclose(before.sum(-1), after.sum(-1), rtol=1e-6)


def test_faded_ones_move_to_opaque_ones_and_the_picture_stays():
    scene = GaussianScene(TINY)
    optimizer = optimizer_of(scene)
    with torch.no_grad():
        scene.opacity_logits[:150:3] = -9
    before = scene.render(orbit(2), 32, 32).rgb.detach()
    moments = {p: optimizer.state[p]["exp_avg"].clone() for p in scene.parameters()}
    old = {name: p.detach().clone() for name, p in scene.named_parameters()}
    n = scene.relocate(optimizer, named_generator(0, "relocate", 1))
    assert n == 50 and (torch.sigmoid(scene.opacity_logits) > 0.005).all()
    assert (scene.render(orbit(2), 32, 32).rgb - before).square().mean().sqrt() < 0.01
    changed = (old["opacity_logits"] != scene.opacity_logits) | (old["means"] != scene.means).any(-1)
    assert changed[:150:3].all() and 50 < changed.sum() < 150
    for p in scene.parameters():
        assert (optimizer.state[p]["exp_avg"][changed] == 0).all()
        assert torch.equal(optimizer.state[p]["exp_avg"][~changed], moments[p][~changed])


def test_those_that_share_a_place_go_their_own_ways():
    scene = GaussianScene(TINY)
    optimizer = optimizer_of(scene)
    with torch.no_grad():
        scene.opacity_logits[:150:3] = -9
    scene.relocate(optimizer, named_generator(0, "relocate", 1))
    between = torch.cdist(scene.means.detach(), scene.means.detach()).fill_diagonal_(9).min(1)[0][:150:3]
    away = between / scene.log_scales[:150:3].exp().mean(1).detach()
    assert (away > 0.05).float().mean() > 0.9 and away.median() < 1.5
    scene.zero_grad()
    scene.render(orbit(2), 32, 32).rgb.square().sum().backward()
    pairs = torch.cdist(scene.means.grad, scene.means.grad).fill_diagonal_(9).min(1)[0][:150:3]
    assert pairs.median() > 1e-4, "equal ones would have equal gradients"


def test_one_that_has_faded_to_nothing_has_a_gradient():
    scene = GaussianScene(TINY)
    with torch.no_grad():
        scene.opacity_logits[0] = -110
    scene.render(orbit(1), 16, 16).rgb.sum().backward()
    assert all(p.grad.isfinite().all() for p in scene.parameters())


def test_targets_are_alive_and_nothing_moves_where_all_have_faded():
    dead = torch.tensor([True, False, True, False, True])
    targets = draw_targets(torch.tensor([0.9, 0.5, 0.9, 0.1, 0.9]), dead, torch.Generator().manual_seed(0))
    assert len(targets) == 3 and set(targets.tolist()) <= {1, 3}
    scene = GaussianScene(TINY)
    optimizer = optimizer_of(scene)
    assert scene.relocate(optimizer, torch.Generator()) == 0
    with torch.no_grad():
        scene.opacity_logits.fill_(-9)
    assert scene.relocate(optimizer, torch.Generator()) == 0


def test_supervised_fit_recovers_views():
    scene = GaussianScene(GaussianConfig(n_gaussians=400, relocate_every=10))
    cameras = sample_cameras(CameraConfig(), 4, named_generator(0, "camera"))
    truth = world.render_truth("cube", "brick", cameras, 24).images
    optimizer = torch.optim.Adam(scene.parameter_groups(0.04))
    errors = []
    for step in range(40):
        scene.adapt(optimizer, step, 40)
        error = (scene.render(cameras, 24, 24).rgb - truth).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.3 * errors[0]


def test_saved_scenes_come_back(tmp_path):
    scene = GaussianScene(TINY)
    save_scene(scene, tmp_path / "a.safetensors")
    again = load_scene(tmp_path / "a.safetensors")
    assert again.config == TINY and torch.equal(again.means, scene.means)


def test_the_ply_holds_the_splats(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    scene = GaussianScene(TINY)
    write_splats(scene.splats(), tmp_path / "a.ply")
    raw = (tmp_path / "a.ply").read_bytes()
    header, body = raw.split(b"end_header\n", 1)
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property float")]
    table = np.frombuffer(body, dtype=np.dtype([(name, "<f4") for name in names]))
    assert tuple(names) == NAMES and len(table) == 200
    assert np.allclose(table["y"], scene.means.detach()[:, 1])
    assert np.allclose(0.5 + SH_C0 * table["f_dc_2"], torch.sigmoid(scene.color_logits).detach()[:, 2], atol=1e-6)
    assert np.allclose(1 / (1 + np.exp(-table["opacity"])), 0.1, atol=1e-6)
    assert np.allclose(table["scale_1"], scene.log_scales.detach()[:, 1], atol=1e-6)
    assert np.allclose(table["rot_0"], 1)
    cloud = trimesh.load(tmp_path / "a.ply")
    assert np.allclose(cloud.vertices, scene.means.detach(), atol=1e-6)
    with torch.no_grad():
        scene.means[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        write_splats(scene.splats(), tmp_path / "b.ply")
    assert not (tmp_path / "b.ply").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"n_gaussians": 0}, {"backend": "magic"}, {"init_opacity": 1.0}, {"scale_weight": -1.0}, {"position_decay": 0.0}],
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        dataclasses.replace(TINY, **wrong)


def test_shrinking_draws_fewer_rows_at_once_and_ends():
    scene = GaussianScene(TINY)
    assert isinstance(scene, ShrinkingScene)
    before = scene.render(orbit(2), 16, 16).rgb
    rows = []
    while scene.shrink():
        rows.append(scene.rows_at_once)
        assert torch.allclose(scene.render(orbit(2), 16, 16).rgb, before, atol=1e-6)
    assert rows == [16, 8]


def test_constants_are_not_saved():
    assert GaussianScene(TINY).state_dict().keys() == {"means", "log_scales", "quats", "opacity_logits", "color_logits"}
    nerf = NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=4))
    assert nerf.state_dict().keys() == {"encoding.levels.0", "encoding.levels.1"}
