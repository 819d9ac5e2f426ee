from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.metrics import view_errors, view_repetition
from tbsd_pack.tbsd_core.metrics.multiview import angle_between, circular_wasserstein
from tbsd_pack.tbsd_core.priors.small_world.degrade import degrade
from tbsd_pack.tbsd_core.priors.small_world.viewpoint import GRID, view_posterior
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras

TURN = orbit(16)


@pytest.fixture(scope="module")
def house() -> torch.Tensor:
    """A true turntable of the house, whose door is at the front alone."""
    return render_truth("house", "brick", TURN).images


def pasted(views: torch.Tensor) -> torch.Tensor:
    """The front view at every azimuth."""
    return views[:1].expand_as(views)


def two_faced(views: torch.Tensor) -> torch.Tensor:
    """The front half of the turn, twice."""
    return torch.cat([views[-4:], views[:4]] * 2).roll(-4, 0)


def noisy(views: torch.Tensor, amount: float) -> torch.Tensor:
    noise = torch.randn(views.shape, generator=torch.Generator().manual_seed(0))
    return (views + amount * noise).clamp(0, 1)


def test_the_posterior_finds_the_side_of_a_true_render():
    azimuth = torch.tensor([0.0, 60.0, 180.0, 270.0])
    images = render_truth("house", "wooden", view_cameras(azimuth, torch.full((4,), 30.0)), 48).images
    posterior = view_posterior(noisy(images, 0.1), "house", "wooden", 30.0)
    torch.testing.assert_close(posterior.sum(1), torch.ones(4))
    assert [GRID[i] for i in posterior.argmax(1).tolist()] == azimuth.tolist()


def test_the_posterior_is_the_mixture_of_every_view_with_every_fault():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    cameras = view_cameras(torch.tensor(GRID), torch.full((len(GRID),), 20.0))
    renders = render_truth("cube", "marble", cameras, 32).images
    faults = [renders] + [degrade(renders, (f,), 0.5, torch.Generator()) for f in ("dark", "foggy", "oversaturated")]
    small = [np.asarray(v.double()).reshape(-1, 3, 16, 2, 16, 2).mean((3, 5)) for v in (x, *faults)]
    energy = [((small[0] - v) ** 2).sum((1, 2, 3)) / (2 * 0.15**2) for v in small[1:]]
    weight = np.exp(np.min(energy) - np.array(energy)).sum(0)
    found = view_posterior(x, "cube", "marble", 20.0)[0]
    np.testing.assert_allclose(found, weight / weight.sum(), atol=1e-3)
    assert (found > 0.01).sum() > 1, "noise leaves more than one view possible"


def test_a_true_turntable_has_no_errors_and_stays_good_when_it_is_noisy_or_blurred(house):
    assert view_errors(house, "house", "brick", TURN) == {"view_error": 0.0, "janus": 0.0}
    blurred = torch.nn.functional.avg_pool2d(house, 4)
    for faulty in (noisy(house, 0.1), blurred):
        errors = view_errors(faulty, "house", "brick", TURN)
        assert errors["view_error"] < 2 and errors["janus"] < 0.01


def test_a_janus_turntable_shows_the_front_where_there_is_none(house):
    errors = view_errors(pasted(house), "house", "brick", TURN)
    # the front everywhere is wrong by 0 to 180 degrees, 90 in the mean
    assert errors["view_error"] == pytest.approx(90, abs=1) and errors["janus"] > 0.99
    halves = view_errors(two_faced(house), "house", "brick", TURN)
    # 8 of 16 views are wrong by 180; the front within 45 degrees is seen in 5 of the 9 views from 90 degrees on
    assert halves["view_error"] == pytest.approx(90, abs=1) and halves["janus"] == pytest.approx(5 / 9, abs=0.02)


def test_a_side_that_the_true_object_has_twice_is_no_janus():
    torus = render_truth("torus", "wooden", TURN).images  # its back looks as its front
    assert view_errors(torus, "torus", "wooden", TURN)["janus"] == 0
    assert view_errors(pasted(torus), "torus", "wooden", TURN)["janus"] > 0.1


def test_a_turn_the_wrong_way_round_is_an_error_but_no_janus(house):
    turned = house.roll(2, 0)  # every view 45 degrees off
    errors = view_errors(turned, "house", "brick", TURN)
    assert errors["view_error"] == pytest.approx(45, abs=1)
    assert errors["janus"] == pytest.approx(1 / 9, abs=0.02)  # the view from 90 degrees shows 45, still the front


def test_views_may_be_at_several_heights_and_in_any_order(house):
    cameras = view_cameras(torch.tensor([180.0, 0.0, 90.0]), torch.tensor([10.0, 40.0, 10.0]))
    views = render_truth("house", "brick", cameras).images
    assert view_errors(views, "house", "brick", cameras)["view_error"] == 0
    views[0] = render_truth("house", "brick", view_cameras(torch.zeros(1), torch.full((1,), 10.0))).images[0]
    errors = view_errors(views, "house", "brick", cameras)
    assert errors["view_error"] == pytest.approx(180 / 3, abs=1) and errors["janus"] == pytest.approx(1 / 2, abs=0.01)


@pytest.mark.parametrize("n_views", [6, 8, 16, 24])
def test_repetition_tells_a_true_turntable_from_both_kinds_of_janus(n_views):
    turn = orbit(n_views)
    true = render_truth("house", "brick", turn).images
    assert view_repetition(true, turn.azimuth) < 0.72
    assert view_repetition(pasted(true), turn.azimuth) == pytest.approx(1, abs=1e-4)
    half = torch.arange(n_views) % (n_views // 2)
    assert view_repetition(true[half], turn.azimuth) == pytest.approx(1, abs=1e-4)
    assert view_repetition(noisy(pasted(true), 0.03), turn.azimuth) > 0.8


def test_repetition_does_not_see_light_or_order(house):
    light = (0.75 + 0.25 * torch.cos(torch.deg2rad(TURN.azimuth))).view(-1, 1, 1, 1)
    janus = two_faced(house)
    dark = janus + 0.25 * (light - 1) * (janus - janus[:, :, :1, :1]).abs().gt(0.02)
    assert view_repetition(dark, TURN.azimuth) > 0.9
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    shuffled = view_repetition(house[order], TURN.azimuth[order] - 360)
    assert shuffled == pytest.approx(view_repetition(house, TURN.azimuth), abs=1e-5)


def test_too_few_views_are_refused():
    views = torch.rand(4, 3, 8, 8)
    with pytest.raises(ValueError, match="8 or more views"):
        view_repetition(views, orbit(4).azimuth)
    with pytest.raises(ValueError, match="as many azimuths"):
        view_repetition(views, orbit(5).azimuth)
    with pytest.raises(ValueError, match="as many cameras"):
        view_errors(views, "house", "brick", orbit(5))
    with pytest.raises(ValueError, match="90 degrees or more from the front"):
        view_errors(views[:1], "house", "brick", orbit(1))


def test_angles_and_distances_on_the_circle():
    a, b = torch.tensor([350.0, -170.0, 90.0]), torch.tensor([10.0, 170.0, 90.0])
    torch.testing.assert_close(angle_between(a, b), torch.tensor([20.0, 20.0, 0.0]))
    p, q = torch.rand(2, 5, 12, generator=torch.Generator().manual_seed(0))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    steps = list(range(12))
    for i, found in enumerate(circular_wasserstein(p, q).tolist()):
        # on a line the cut is fixed, so the circle's distance is at most the distance of every cut
        cuts = [
            wasserstein_distance(steps, steps, p[i].roll(k).double(), q[i].roll(k).double()) * 30 for k in range(12)
        ]
        assert found <= min(cuts) + 1e-4
    one = torch.eye(12)
    moved = circular_wasserstein(one[[0]].expand(12, -1), one)
    torch.testing.assert_close(moved, torch.tensor([30.0 * min(k, 12 - k) for k in range(12)]))
    assert math.isclose(float(moved.max()), 180)
