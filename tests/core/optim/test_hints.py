"""Hints of the views of a step reach the network with every method, and change nothing but its predictions."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, sample_cameras
from tbsd_pack.tbsd_core.guidance import METHODS, build_guidance, default_config, has_source
from tbsd_pack.tbsd_core.mesh import PlacementConfig, texture_scene
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, Predictor, create_adapter, optimize
from tbsd_pack.tbsd_core.optim.hints import ControlConfig, Hints, view_hints
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_control, load_learned_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.rng import named_generator
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, MeshTextureConfig, NeRFConfig, NeRFScene
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

SIZE = 32


@pytest.fixture(scope="module")
def prior():
    loaded = load_learned_prior()
    loaded.attach_control(load_learned_control(), "depth")
    return loaded


@pytest.fixture(scope="module")
def prompts(prior):
    return encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)


def house():
    return texture_scene(sample_mesh("house"), MeshTextureConfig(resolutions=(5, 9)), PlacementConfig(radius=None))


def nerf() -> NeRFScene:
    return NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))


def cameras(n: int = 2):
    return sample_cameras(CameraConfig(), n, named_generator(0, "camera"))


def nudged(scene):
    """The scene in other colours."""
    other = copy_scene(scene)
    for p in other.parameters():
        p.data += 0.5 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    return other


def painted(prior, prompts, method: str, control: ControlConfig, scene=None) -> torch.Tensor:
    """The colours after two steps."""
    guidance = build_guidance(method, default_config(method))
    config = OptimConfig(n_steps=2, views_per_step=2, size=SIZE)
    scene = scene or house()
    state = OptimState.create(scene, config, create_adapter(prior, guidance, 0))
    source = nudged(scene) if has_source(guidance) else None
    run = Distillation(prior, prompts, guidance, scene, CameraConfig(), config, control=control, source=source)
    for _ in optimize(run, state):
        pass
    return torch.cat([p.detach().flatten() for p in scene.parameters()])


@pytest.mark.parametrize("method", [name for name, spec in METHODS.items() if not spec.flow_only])
def test_every_method_gets_them_without_asking(prior, prompts, method):
    shown = painted(prior, prompts, method, ControlConfig(kind="depth"))
    without = painted(prior, prompts, method, ControlConfig())
    assert float((shown - without).abs().max()) > 1e-4


def test_with_no_strength_the_gradient_is_that_without(prior, prompts):
    without = painted(prior, prompts, "tbsd", ControlConfig())
    assert torch.equal(painted(prior, prompts, "tbsd", ControlConfig(kind="depth", strength=0.0)), without)


def test_a_batch_of_two_views_equals_each_alone(prior, prompts):
    scene, seen = house(), cameras()
    with torch.no_grad():
        render = scene.render(seen, SIZE, SIZE)
    hints = view_hints(ControlConfig(kind="depth"), scene, seen, render, 64)
    x_t, t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([900, 300])
    predict = Predictor(prior, prompts, ["front", "back"], hints=hints)
    both = predict(["target", "uncond"], x_t, t)
    plain = Predictor(prior, prompts, ["front", "back"])(["target", "uncond"], x_t, t)
    for i in (0, 1):
        row = torch.tensor([i])
        alone = predict(["target", "uncond"], x_t[row], t[row], row)
        for name in both:
            torch.testing.assert_close(both[name][row], alone[name], atol=1e-5, rtol=1e-5)
            assert float((both[name][row] - plain[name][row]).abs().max()) > 1e-3
    swapped = Predictor(prior, prompts, ["front", "back"], hints=Hints(hints.maps.flip(0), 1.0))
    assert float((swapped(["target"], x_t, t)["target"] - both["target"]).abs().max()) > 1e-3


def test_parts_of_a_step_and_views_between_two_words_keep_their_hints(prior, prompts):
    """With Perp-Neg a view takes rows in a second forward; a few samples at a time give the result of all at once."""
    maps = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    x_t, t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([900, 300])
    mixed = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt, 1.0)
    options = dict(angles=[(50.0, 10.0), (120.0, 10.0)], hints=Hints(maps, 1.0))
    whole = Predictor(prior, mixed, ["side", "side"], **options)(["target", "uncond"], x_t, t)
    pieces = Predictor(prior, mixed, ["side", "side"], at_once=1, **options)(["target", "uncond"], x_t, t)
    for name in whole:
        torch.testing.assert_close(whole[name], pieces[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [house, nerf])
@pytest.mark.parametrize("kind", ["depth", "normal"])
def test_they_are_rendered_from_each_camera_at_the_size_of_the_model(make, kind):
    scene, seen = make(), cameras()
    with torch.no_grad():
        render = scene.render(seen, SIZE, SIZE)
    hints = view_hints(ControlConfig(kind=kind, strength=0.7), scene, seen, render, 2 * SIZE)
    assert hints.maps.shape == (2, 3, 2 * SIZE, 2 * SIZE) and hints.strength == 0.7
    assert not hints.maps.requires_grad and 0 <= float(hints.maps.min()) <= float(hints.maps.max()) <= 1
    one_by_one = view_hints(ControlConfig(kind=kind), scene, seen, render, 2 * SIZE, at_once=1)
    assert torch.allclose(hints.maps, one_by_one.maps, atol=1e-6)
    if make is house:
        assert float((hints.maps[0] - hints.maps[1]).abs().max()) > 0.3


def test_a_mesh_is_shown_sharper_than_the_render_of_the_step():
    scene, seen = house(), cameras()
    with torch.no_grad():
        render = scene.render(seen, 16, 16)
    sharp = view_hints(ControlConfig(kind="depth"), scene, seen, render, 64).maps
    with torch.no_grad():
        expected = scene.render(seen, 64, 64)
    assert torch.equal(sharp[:, :1] > 0, expected.opacity > 0)


def test_pictures_and_priors_without_a_net_are_refused(prior, prompts):
    control = ControlConfig(kind="depth")
    with pytest.raises(ValueError, match="a picture has none"):
        painted(prior, prompts, "sds", control, ImageScene(ImageConfig(size=SIZE)))
    with pytest.raises(ValueError, match="has one for depth"):
        painted(prior, prompts, "sds", ControlConfig(kind="normal"))
    with pytest.raises(ValueError, match="has none"):
        painted(GaussianPrior({}), prompts, "sds", control)


@pytest.mark.parametrize("wrong", [dict(kind="colour"), dict(strength=-1.0), dict(strength=float("nan"))])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ControlConfig(**wrong)
