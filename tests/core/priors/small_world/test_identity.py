from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world.degrade import degrade
from tbsd_pack.tbsd_core.priors.small_world.identity import identify
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras

OBJECTS = [(shape, list(MATERIALS)[i % len(MATERIALS)]) for i, shape in enumerate(SHAPES)]


def random_view(seed: int):
    u = torch.rand(2, 1, generator=torch.Generator().manual_seed(seed))
    return view_cameras(360 * u[0], 45 * u[1])


@pytest.mark.parametrize("shape, material", OBJECTS)
def test_the_truth_is_identified_with_and_without_its_camera(shape, material):
    cameras = random_view(list(SHAPES).index(shape))
    image = render_truth(shape, material, cameras).images
    for identity in (identify(image, cameras), identify(image)):
        p_shape, p_material = identity.of(shape, material)
        assert p_shape > 0.95 and p_material > 0.95
        assert identity.shape.shape == (1, len(SHAPES)) and identity.material.shape == (1, len(MATERIALS))
        torch.testing.assert_close(identity.shape.sum(1), torch.ones(1))
        torch.testing.assert_close(identity.material.sum(1), torch.ones(1))


@pytest.mark.parametrize("fault", ["dark", "foggy", "oversaturated"])
def test_faults_of_colour_do_not_change_what_it_is(fault):
    cameras = random_view(3)
    image = degrade(render_truth("house", "brick", cameras).images, (fault,), 0.6, torch.Generator().manual_seed(0))
    assert min(float(p) for p in identify(image, cameras).of("house", "brick")) > 0.95


def test_a_batch_is_judged_image_by_image():
    cameras = view_cameras(torch.tensor([10.0, 100.0]), torch.tensor([20.0, 20.0]))
    images = render_truth("torus", "dotted", cameras).images
    both = identify(images, cameras)
    for i in range(2):
        torch.testing.assert_close(both.shape[i : i + 1], identify(images[i : i + 1], cameras[i : i + 1]).shape)


def test_half_of_each_is_less_certain_than_either():
    """Between two materials, in squared distance, both stay possible."""
    cameras = random_view(1)
    a, b = (render_truth("cube", m, cameras).images for m in ("brick", "marble"))
    p = identify((a + b) / 2, cameras)
    assert p.of("cube", "brick")[0] > 0.95
    assert p.of("cube", "brick")[1] < 0.999
