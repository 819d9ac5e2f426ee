"""The numbers of a camera; tests/comfy/test_zero123.py holds them against the host's."""

from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.pose import look_at_origin
from tbsd_pack.tbsd_core.priors.zero123 import STABLE_ZERO123, ZERO123_XL, camera_numbers


def test_they_are_angles_from_the_reference_camera():
    found = camera_numbers(torch.tensor([0.0, 90.0, -30.0]), torch.tensor([10.0, 40.0, -20.0]), 10.0)
    lean = math.radians(80)
    expected = [
        [0.0, 0.0, 1.0, lean],
        [math.radians(-30), 1.0, 0.0, lean],
        [math.radians(30), -0.5, math.cos(math.radians(30)), lean],
    ]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind, last", [(STABLE_ZERO123, math.radians(65)), (ZERO123_XL, 0.0)])
def test_the_fourth_one_depends_on_the_model(kind, last):
    found = camera_numbers(torch.tensor([12.0]), torch.tensor([3.0]), 25.0, kind)
    assert float(found[0, 3]) == pytest.approx(last, abs=1e-6)


def test_a_camera_goes_to_the_same_side_as_in_training():
    """Zero-1-to-3 takes azimuths as atan2(y, x) with z up: seen from above, cameras turn to the left."""
    position = look_at_origin(torch.tensor([0.0, 20.0]), torch.zeros(2), torch.ones(2))[:, :3, 3]
    x, y = position[:, 2], position[:, 0]  # their x points to the front; z up makes y our x
    turned = torch.atan2(y, x).diff()
    assert torch.equal(turned.sign(), camera_numbers(torch.tensor([20.0]), torch.zeros(1), 0.0)[:, 1].sign())
    assert math.degrees(float(turned)) == pytest.approx(20.0, abs=1e-4)
