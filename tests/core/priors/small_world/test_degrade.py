from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world.degrade import DEGRADATIONS, degrade
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.world import render_materials, view_cameras


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return render_materials("house", list(MATERIALS), view_cameras(torch.zeros(1), torch.tensor([20.0])), 32)[0][:, 0]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_fault_changes_the_image_and_nothing_of_its_form(name, strength, images):
    before = images.clone()
    bad = degrade(images, (name,), strength, seeded())
    assert bad.shape == images.shape and bad.dtype == images.dtype
    assert bad.min() >= 0 and bad.max() <= 1
    assert (bad - images).abs().mean() > 0.005
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_strength_makes_it_worse(name, images):
    weak, strong = (degrade(images, (name,), s, seeded()) for s in (0.0, 1.0))
    assert (strong - images).abs().mean() > (weak - images).abs().mean()


def test_order_of_names_does_not_matter(images):
    names = tuple(DEGRADATIONS)
    assert torch.equal(degrade(images, names, 0.5, seeded()), degrade(images, names[::-1], 0.5, seeded()))
    assert torch.equal(degrade(images, (), 0.5, seeded()), images)


def test_unknown_fault_is_refused_with_the_list(images):
    with pytest.raises(ValueError, match="'noisy'.*known: malformed, dark"):
        degrade(images, ("noisy", "dark"), 0.5, seeded())


def test_the_list_as_a_whole_says_little_about_brightness(images):
    """A prompt against all faults must not push towards black or white."""
    shifts = [float((degrade(images, (n,), 0.5, seeded()) - images).mean()) for n in DEGRADATIONS]
    assert abs(sum(shifts) / len(shifts)) < 0.06
    assert min(shifts) < -0.1 and max(shifts) > 0.02
