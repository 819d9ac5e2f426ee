"""The picture that the front keeps: its frame, its loss in closed form and against differences, and its step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import build_guidance, default_config
from tbsd_pack.tbsd_core.optim import (
    Distillation,
    OptimConfig,
    OptimState,
    Reference,
    ReferenceConfig,
    framed,
    optimize,
)
from tbsd_pack.tbsd_core.optim.reference import reference_losses, view_losses
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene, RenderOutput

SIDE = 8
CONFIG = ReferenceConfig(elevation=10.0, rgb_weight=5.0, mask_weight=0.5)


def small_nerf() -> NeRFScene:
    return NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=0))


def disc(config: ReferenceConfig = CONFIG, side: int = SIDE) -> Reference:
    """A red disc that fills half of its picture."""
    at = (torch.arange(side) + 0.5) / side * 2 - 1
    mask = (at[:, None] ** 2 + at**2 < 0.5).float()[None, None]
    return Reference(torch.tensor([0.9, 0.1, 0.2]).view(1, 3, 1, 1).expand(1, 3, side, side), mask, config)


def box(height: int, width: int, rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(1, 1, height, width)
    mask[..., rows, columns] = 1
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)), mask


def distilled(weight: float, n_steps: int = 25, every: int = 1) -> tuple[NeRFScene, list]:
    conditions = {name: {"": GaussianCondition(0.5, 0.1)} for name in ("target", "uncond")}
    prompts = PromptSet(conditions, {name: {"": name} for name in conditions})
    scene, optim = small_nerf(), OptimConfig(n_steps=n_steps, views_per_step=1, size=SIDE, lr=0.05)
    reference = disc(ReferenceConfig(elevation=10.0, rgb_weight=weight, mask_weight=weight, every=every))
    prior, method = GaussianPrior({}), "sds"
    guidance = build_guidance(method, default_config(method))
    run = Distillation(prior, prompts, guidance, scene, CameraConfig(), optim, reference=reference)
    return scene, list(optimize(run, OptimState.create(scene, optim, None)))


def test_losses_are_what_they_say():
    rgb, mask = torch.full((1, 3, 2, 2), 0.5), torch.tensor([[1.0, 0.5], [0.0, 1.0]]).view(1, 1, 2, 2)
    seen = RenderOutput(torch.full((1, 3, 2, 2), 0.7), torch.full((1, 1, 2, 2), 0.25), torch.zeros(1, 1, 2, 2))
    found = view_losses(seen, rgb, mask, CONFIG)
    assert float(found["reference_rgb"]) == pytest.approx(5.0 * 0.2**2 * 2.5 / 4)
    assert float(found["reference_mask"]) == pytest.approx(0.5 * (0.75**2 * 2 + 0.25**2 * 2) / 4)
    assert view_losses(seen, rgb, mask, ReferenceConfig(rgb_weight=0, mask_weight=0)) == {}


def test_its_gradient_is_that_of_finite_differences():
    scene, reference = small_nerf(), disc()

    def loss() -> torch.Tensor:
        return torch.stack(list(reference_losses(reference, scene, CameraConfig(), SIDE).values())).sum()

    loss().backward()
    generator = torch.Generator().manual_seed(1)
    for p in scene.parameters():
        assert p.grad is not None
        way = torch.randn(p.shape, generator=generator)
        ends = []
        for h in (1e-2, -1e-2):
            with torch.no_grad():
                p += h * way
                ends.append(float(loss()))
                p -= h * way
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(float((p.grad * way).sum()), rel=2e-2)


def test_a_scene_that_is_the_picture_has_no_loss():
    scene, cameras = small_nerf(), CameraConfig()
    with torch.no_grad():
        seen = scene.render(disc().camera(cameras), SIDE, SIDE)
        found = reference_losses(Reference(seen.rgb, seen.opacity, CONFIG), scene, cameras, SIDE)
    assert all(float(value) == 0 for value in found.values())


def test_colours_of_a_smaller_size_are_those_of_the_object_alone():
    rgb, mask = disc(side=32).at(SIDE, torch.device("cpu"))
    inside = (mask > 0.01).expand_as(rgb)
    torch.testing.assert_close(rgb[inside], disc().rgb[inside], atol=1e-5, rtol=0)
    assert 0 < float(mask.mean()) < 1 and rgb.shape[-1] == SIDE


def test_a_frame_is_a_square_around_the_object():
    rgb, mask = box(20, 40, slice(2, 10), slice(25, 31))
    found = framed(rgb, mask, replace(CONFIG, fill=0.5))
    assert found.rgb.shape == (1, 3, 16, 16)
    rows, columns = (found.mask[0, 0].any(dim).nonzero()[:, 0] for dim in (1, 0))
    assert (int(rows[0]), int(rows[-1])) == (4, 11) and (int(columns[0]), int(columns[-1])) == (5, 10)
    assert torch.equal(found.rgb[..., 4:12, 5:11], rgb[..., 2:10, 25:31])
    assert torch.equal(found.on_white()[..., 0, 0], torch.ones(1, 3))
    whole = framed(rgb, mask, replace(CONFIG, fill=0.0))
    assert torch.equal(whole.rgb, rgb[..., 10:30])


def test_a_large_picture_is_shrunk_before_it_is_framed():
    rgb, mask = torch.zeros(1, 3, 1500, 1800), torch.zeros(1, 1, 1500, 1800)
    mask[..., 100:1300, 200:1400] = 1
    rgb[:, 0] = mask[:, 0]
    for fill in (0.75, 0.05):
        reference = framed(rgb, mask, ReferenceConfig(fill=fill))
        assert abs(reference.rgb.shape[-1] - 1024) <= 32  # of whole pixels of a small object
        assert float(reference.mask.mean()) == pytest.approx(fill**2, rel=0.1)
        inside = reference.mask[:, 0] > 0.5
        assert float(reference.rgb[:, 0][inside].min()) > 0.99
    assert reference.at(64, torch.device("cpu"))[0] is reference.at(64, torch.device("cpu"))[0]


@pytest.mark.parametrize(
    "rows, columns, said", [(slice(0, 0), slice(0, 0), "the mask is empty"), (slice(0, 20), slice(0, 40), "100 %")]
)
def test_a_picture_without_an_object_of_its_own_is_refused(rows, columns, said):
    with pytest.raises(ValueError, match=said):
        framed(*box(20, 40, rows, columns), CONFIG)


def test_the_front_comes_to_look_like_the_picture():
    def error(scene: NeRFScene) -> float:
        with torch.no_grad():
            found = reference_losses(disc(), scene, CameraConfig(), SIDE)
        return sum(float(value) for value in found.values())

    (free, plain), (held, records) = distilled(0.0), distilled(50.0)
    assert error(held) < 0.3 * error(free)
    assert {"loss_reference_rgb", "loss_reference_mask"} <= records[0].scalars.keys()
    assert not any("reference" in name for name in plain[0].scalars)


def test_it_is_looked_at_every_so_many_steps():
    _, records = distilled(1.0, n_steps=5, every=2)
    assert ["loss_reference_rgb" in r.scalars for r in records] == [True, False, True, False, True]


def test_a_picture_has_no_view_to_keep():
    scene, config = ImageScene(ImageConfig(n_images=1, size=SIDE)), OptimConfig(n_steps=1, views_per_step=1, size=SIDE)
    conditions = {name: {"": GaussianCondition(0.5, 0.1)} for name in ("target", "uncond")}
    prompts = PromptSet(conditions, {name: {"": name} for name in conditions})
    guidance = build_guidance("sds", default_config("sds"))
    run = Distillation(GaussianPrior({}), prompts, guidance, scene, CameraConfig(), config, reference=disc())
    with pytest.raises(ValueError, match="Use a 3D scene"):
        next(optimize(run, OptimState.create(scene, config, None)))
