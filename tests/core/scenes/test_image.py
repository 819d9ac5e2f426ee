from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.scenes import SCENES, ImageConfig, ImageScene, LatentImageConfig, LatentImageScene


def test_every_scene_has_its_config():
    for scene, config in ((spec.scene, spec.config) for spec in SCENES.values()):
        assert isinstance(scene(config()).config, config)


def test_image_starts_near_grey_and_seeded():
    a, b, c = (ImageScene(ImageConfig(n_images=2, size=8, seed=s)).render(orbit(2), 8, 8).rgb for s in (0, 0, 1))
    assert a.shape == (2, 3, 8, 8)
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert (a - 0.5).abs().max() < 0.3 and a.std().item() == pytest.approx(0.05, rel=0.2)


def test_pixels_reach_the_gamut_and_stay_inside():
    scene = ImageScene(ImageConfig(size=4))
    target = (torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    optimizer = torch.optim.Adam(scene.parameter_groups(0.1))
    for _ in range(60):
        out = scene.render(orbit(1), 4, 4)
        optimizer.zero_grad()
        (out.rgb - target).square().sum().backward()
        optimizer.step()
    assert out.rgb.min() >= 0 and out.rgb.max() <= 1
    assert (out.rgb - target).abs().max() < 0.02
    assert scene.regularization(out, 1.0) == {}


def test_image_is_resized_on_request():
    scene = ImageScene(ImageConfig(size=8))
    small = scene.render(orbit(1), 4, 4).rgb
    assert small.shape == (1, 3, 4, 4)
    assert small.mean().item() == pytest.approx(scene.render(orbit(1), 8, 8).rgb.mean().item(), abs=0.02)


@pytest.mark.parametrize("scene", [ImageScene(ImageConfig(n_images=2, size=4)), LatentImageScene()])
def test_wrong_number_of_cameras_is_refused(scene):
    with pytest.raises(ValueError, match="camera"):
        scene.render(orbit(3), 4, 4)


def test_latent_scene_hands_out_its_latents_with_gradient():
    scene = LatentImageScene(LatentImageConfig(n_images=2, channels=4, size=8, seed=3))
    out = scene.render(orbit(2), 32, 32)
    assert out.rgb.shape == (2, 3, 32, 32) and out.latents.shape == (2, 4, 8, 8)
    assert out.latents.std().item() == pytest.approx(1.0, abs=0.15)
    out.latents.sum().backward()
    assert torch.equal(scene.latents.grad, torch.ones(2, 4, 8, 8))


@pytest.mark.parametrize("config", [ImageConfig, LatentImageConfig])
def test_wrong_sizes_are_refused(config):
    with pytest.raises(ValueError, match="size"):
        config(size=0)
