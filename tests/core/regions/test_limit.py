"""A run of which a region is given: what is locked stays to the bit, whatever the run does."""

from __future__ import annotations

from dataclasses import replace

import kept
import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, orbit
from tbsd_pack.tbsd_core.experiment import read_newest, save_scene
from tbsd_pack.tbsd_core.experiment.file import load_scene
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.mesh import Mesh, painted_mesh, texture_scene, write_mesh
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.mesh.mixed import mixed_texture
from tbsd_pack.tbsd_core.mesh.paint import start_from_colors
from tbsd_pack.tbsd_core.mesh.uv import triangle_charts
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, optimize
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.regions import (
    LOCKED,
    WAS,
    Region,
    check_same,
    everything,
    inverted,
    limited,
    mask_region,
    ready,
)
from tbsd_pack.tbsd_core.regions.limit import texels, texture_now
from tbsd_pack.tbsd_core.scenes import GaussianConfig, GaussianScene, ImageConfig, MeshTextureConfig, NeRFScene
from tbsd_pack.tbsd_core.scenes.kept import ORIGINAL, WEIGHT
from tbsd_pack.tbsd_core.scenes.mesh_texture import BESIDE, GREY
from tbsd_pack.tbsd_core.scenes.picture_start import scene_of_pictures

SIZE, SIDE = 8, 64


def random(*shape: int, seed: int = 0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def textured_boxes(side: int = SIDE, height: int | None = None) -> Mesh:
    """Two boxes apart, the first larger, each triangle with a chart of its own in a noisy texture."""
    boxes = [trimesh.creation.box((1.0, 1.0, 1.0)), trimesh.creation.box((0.5, 0.5, 0.5))]
    boxes[1].apply_translation((2, 0, 0))
    both = trimesh.util.concatenate(boxes)
    flat, _ = triangle_charts(Mesh(both.vertices.astype(np.float32), both.faces.astype(np.int64)), side)
    texture = (random(height or side, side, 3) * 255).round().numpy().astype(np.float32) / 255
    return replace(flat, texture=texture)


def mesh_scene(side: int = SIDE, height: int | None = None, **settings):
    mesh = textured_boxes(side, height)
    config = MeshTextureConfig(resolutions=(5, 9), supersample=1, shading="none", **settings)
    scene = texture_scene(mesh, config)
    start_from_colors(scene, mesh, n_steps=5, n_points=256)
    return scene


def picture_scene():
    return scene_of_pictures(random(2, 3, SIZE, SIZE), ImageConfig(size=SIZE))


def splat_scene():
    """Some fade at once and look for another place."""
    scene = GaussianScene(GaussianConfig(n_gaussians=60, relocate_every=2, dead_opacity=0.09))
    with torch.no_grad():
        scene.opacity_logits[::4] -= 1
    return scene


SCENES = {"picture": picture_scene, "mesh": mesh_scene, "splats": splat_scene}


def region_of(scene, border: float = 0.0) -> Region:
    """Half of it."""
    whole = everything(scene)
    free = whole.free.clone()
    free[: len(free) // 2] = False
    return replace(whole, free=free, border=border)


def shown(scene) -> dict[str, torch.Tensor]:
    """All that others get of a scene: pictures, a texture, or splats."""
    if isinstance(scene, GaussianScene):
        splats = scene.splats()
        return {n: getattr(splats, n).detach() for n in ("means", "quats", "scales", "opacities", "colors")}
    if scene.uses_cameras:
        return {"texture": torch.from_numpy(painted_mesh(scene)[0].texture)}
    return {"picture": scene.render(orbit(2), SIZE, SIZE).rgb.detach()}


def run(scene, n_steps: int = 6, state=None, stop=None, **settings):
    config = OptimConfig(n_steps=n_steps, views_per_step=2, size=SIZE, lr=0.1, **settings)
    conditions = {"target": (0.8, 0.01), "uncond": (0.5, 0.2), "negative": (0.4, 0.1)}
    prompts = PromptSet(
        conditions={name: {"": GaussianCondition(*value)} for name, value in conditions.items()},
        texts={name: {"": name} for name in conditions},
    )
    state = state or OptimState.create(scene, config)
    parts = (GaussianPrior({}), prompts, SDS(SDSConfig(guidance_scale=3.0)), scene, CameraConfig(), config)
    for _ in optimize(Distillation(*parts), state):
        if state.step == stop:
            break
    return state


@pytest.mark.parametrize("border", [0.0, 0.8])
@pytest.mark.parametrize("kind", SCENES)
def test_what_is_locked_is_bit_equal_and_the_rest_changes(kind, border):
    scene = SCENES[kind]()
    before = {
        "picture": lambda: {"picture": scene.attached["original"]},
        "mesh": lambda: {"texture": scene.attached["original"].float() / 255},
        "splats": lambda: shown(scene),
    }[kind]()
    scene = limited(scene, region_of(scene, border))
    weight = scene.attached[WEIGHT]
    run(scene)
    for name, value in shown(scene).items():
        w = weight.expand(2, 3, SIZE, SIZE) if kind == "picture" else weight
        assert torch.equal(value[w == 0], before[name][w == 0]), name
        assert not torch.isclose(value[w > 0.9], before[name][w > 0.9]).all(), name
    assert (0 < weight).any() and (weight == 0).any()
    assert bool(((weight > 0) & (weight < 1)).any()) == (border > 0)


@pytest.mark.parametrize("kind", SCENES)
def test_a_run_with_a_region_is_kept_in_the_file_and_resumes_bit_equal(kind, tmp_path):
    whole = SCENES[kind]()
    whole = limited(whole, region_of(whole, 2.0))
    first = limited(SCENES[kind](), region_of(SCENES[kind](), 2.0))
    run(whole)
    state = run(first, stop=3)
    kept.save(tmp_path, first, state)
    second = read_newest(tmp_path).scene()
    resumed = OptimState.create(second, OptimConfig(n_steps=6, views_per_step=2, size=SIZE, lr=0.1))
    kept.load(tmp_path, second, resumed)
    run(second, state=resumed)
    for name, value in shown(whole).items():
        assert torch.equal(value, shown(second)[name]), name


def test_pictures_are_kept_exactly_also_where_they_are_black_or_white():
    pictures = torch.cat([torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 3, SIZE, SIZE)])
    scene = scene_of_pictures(pictures, ImageConfig(size=SIZE))
    scene = limited(scene, region_of(scene))
    assert torch.equal(shown(scene)["picture"][..., : SIZE // 2, :], pictures[..., : SIZE // 2, :])


def test_a_texture_comes_back_from_a_file_with_the_bytes_it_had(tmp_path):
    scene = mesh_scene()
    limit = limited(scene, region_of(scene, 2.0))
    run(limit, 3)
    write_mesh(painted_mesh(limit)[0], tmp_path / "mesh.glb")
    texture = torch.from_numpy(load_mesh(tmp_path / "mesh.glb").mesh.texture)
    locked = limit.attached[WEIGHT] == 0
    original = scene.attached["original"]
    assert torch.equal((texture * 255).round().byte()[locked], original[locked])


@pytest.mark.parametrize("kind", SCENES)
def test_a_second_region_keeps_what_the_first_run_made(kind):
    scene = SCENES[kind]()
    once = limited(scene, region_of(scene))
    run(once, 3)
    made = shown(once)
    again = limited(once, inverted(region_of(once)))
    run(again, 3)
    weight = again.attached[WEIGHT]
    for name, value in shown(again).items():
        w = weight.expand(2, 3, SIZE, SIZE) if kind == "picture" else weight
        error = (value[w == 0] - made[name][w == 0]).abs().max()
        assert error <= (0.5 / 255 + 1e-6 if kind == "mesh" else 0), name  # a texture has 8 bits


def test_a_border_rises_without_a_step():
    scene = mesh_scene(256)
    free = torch.zeros(256, 256)
    free[:, :100] = 1
    weight = limited(scene, mask_region(scene, free, border=6.0)).attached[WEIGHT]
    across = (weight[:, 1:] - weight[:, :-1]).abs()
    same_side = free[:, 1:] == free[:, :-1]
    assert weight[:, 101:][weight[:, 101:] > 0].numel() == 0 or weight.max() == 1
    assert across[same_side].quantile(0.99) < 0.5
    hard = limited(scene, mask_region(scene, free, border=0.0)).attached[WEIGHT]
    assert set(hard.unique().tolist()) == {0.0, 1.0}


def test_a_region_of_another_scene_or_of_nothing_is_refused():
    mesh, picture = mesh_scene(), picture_scene()
    with pytest.raises(ValueError, match=r"region has 64 x 64 texels, but the scene has 8 x 8 pixels"):
        limited(picture, everything(mesh))
    with pytest.raises(ValueError, match="the region is empty"):
        limited(picture, inverted(everything(picture)))
    whole = everything(mesh)
    between = replace(whole, free=~texels(mesh).known, border=0.0)
    with pytest.raises(ValueError, match="shows nothing of the surface"):
        limited(mesh, between)
    with pytest.raises(ValueError, match="No part of a NeRFScene can be locked"):
        everything(NeRFScene())


def test_colours_are_pinned_only_where_there_are_some():
    scene = mesh_scene(pin_weight=10.0)
    with pytest.raises(ValueError, match="pin_weight holds the colours of a mesh"):
        run(scene, 1)
    pinned, free = ready(scene), ready(mesh_scene())
    assert pinned.kept is not None and free.kept is None
    start = pinned.render(orbit(3, 10.0), 16, 16).rgb.mean((0, 2, 3)).detach()
    free = limited(free, everything(free))
    moved = []
    for each in (pinned, free):
        run(each, 20)
        moved.append((each.render(orbit(3, 10.0), 16, 16).rgb.mean((0, 2, 3)) - start).abs().max().item())
    assert moved[0] < 0.4 * moved[1]


def test_new_colours_near_the_locked_part_are_held_to_its_colours(tmp_path):
    away = {}
    for weight in (0.0, 100.0):
        scene = mesh_scene(match_weight=weight)
        made = limited(scene, replace(region_of(scene), old=LOCKED))
        beside, free = made.attached[BESIDE], made.attached[WEIGHT] == 1
        assert beside[made.attached[WEIGHT] == 0][:, 3].min() == 255 and beside[free][:, 3].min() < 255
        run(made, 20)
        near = free & (beside[..., 3] > 128)
        colors, _ = mixed_texture(made)
        away[weight] = (torch.from_numpy(colors) - beside[..., :3] / 255)[near].mean(0).abs().mean().item()
    assert away[100.0] < 0.5 * away[0.0]
    save_scene(made, tmp_path / "scene.safetensors")
    assert torch.equal(load_scene(tmp_path / "scene.safetensors").attached[BESIDE], beside)
    made.attach({name: value for name, value in made.attached.items() if name != BESIDE})  # as files of before
    with pytest.raises(ValueError, match="what is kept of it must be"):
        made.attach({**made.attached, BESIDE: beside[:1]})
    assert BESIDE not in limited(mesh_scene(), region_of(scene)).attached  # what was there counts


def test_what_is_restyled_begins_in_grey_and_the_rest_keeps_its_bytes():
    scene = mesh_scene(begin=GREY)
    before = scene.attached[ORIGINAL].clone()
    made = limited(scene, region_of(scene))
    free = made.attached[WEIGHT] == 1
    texture = (torch.from_numpy(painted_mesh(made)[0].texture) * 255).round().to(torch.uint8)
    assert torch.equal(texture[~free], before[~free])
    assert (texture[free].float() - 127.5).abs().max() < 2 < (before[free].float() - 127.5).abs().mean()
    run(made, 2)
    texture = (torch.from_numpy(painted_mesh(made)[0].texture) * 255).round().to(torch.uint8)
    assert torch.equal(texture[~free], before[~free]) and (texture[free] != 128).any()
    scene.attach({})
    with pytest.raises(ValueError, match="while the rest begins in grey where its colours are a texture"):
        limited(scene, everything(scene))


def moved(scene):
    """As if it had been optimised."""
    with torch.no_grad():
        for parameter in scene.parameters():
            parameter += 0.05 * random(*parameter.shape)
    return scene


@pytest.mark.parametrize("old", [WAS, LOCKED])
def test_a_mesh_whose_texture_is_no_square_takes_a_region_after_a_run(old):
    scene = moved(mesh_scene(height=32))
    region = replace(region_of(scene, 2.0), old=old)
    assert region.free.shape == (32, SIDE) and texture_now(scene).shape == (32, SIDE, 3)
    assert ready(scene, region).attached[WEIGHT].shape == (32, SIDE)


@pytest.mark.parametrize("kind", SCENES)
def test_the_region_of_a_run_is_known_again_whatever_the_run_has_moved(kind):
    scene = SCENES[kind]()
    region = region_of(scene, 0.8)
    ran = moved(limited(scene, region))
    check_same(ran, region)
    with pytest.raises(ValueError, match="another region"):
        check_same(ran, inverted(region))


def test_a_damaged_file_is_refused(tmp_path):
    scene = picture_scene()
    scene = limited(scene, region_of(scene))
    save_scene(scene, tmp_path / "scene.safetensors")
    assert torch.equal(load_scene(tmp_path / "scene.safetensors").attached[WEIGHT], scene.attached[WEIGHT])
    for name, value in (
        (WEIGHT, torch.full_like(scene.attached[WEIGHT], 2.0)),
        (WEIGHT, scene.attached[WEIGHT][:1]),
        ("kept.pixels", torch.full_like(scene.attached["kept.pixels"], torch.nan)),
        ("other", torch.zeros(1)),
    ):
        with pytest.raises(ValueError):
            picture_scene().attach({**scene.attached, name: value})
