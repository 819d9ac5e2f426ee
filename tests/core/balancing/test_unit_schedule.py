from __future__ import annotations

import balancing_properties as properties
import torch
from tbsd_pack.tbsd_core.balancing import BalanceConfig, ProgressSchedule
from tbsd_pack.tbsd_core.balancing.mgda import min_norm_weights
from tbsd_pack.tbsd_core.balancing.unit_schedule import UnitSchedule


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def test_half_and_half_is_mgda_on_unit_vectors():
    g1, g2 = properties.directions()
    by_mgda = min_norm_weights(unit(g1), unit(g2))
    torch.testing.assert_close(by_mgda, (torch.full((5,), 0.5), torch.full((5,), 0.5)))
    config = BalanceConfig(shape_floor=0.0, schedule=ProgressSchedule(kind="constant", start=0.5))
    shape, texture = UnitSchedule(config)(g1, g2, 0.3)
    length = g1.flatten(1).norm(dim=1)
    expected = length.view(-1, 1, 1, 1) * (0.5 * unit(g1) + 0.5 * unit(g2))
    torch.testing.assert_close(shape.view(-1, 1, 1, 1) * g1 + texture.view(-1, 1, 1, 1) * g2, expected)


def test_how_long_the_texture_direction_is_does_not_matter():
    g1, g2 = properties.directions()
    balancer = UnitSchedule(BalanceConfig())
    for u in properties.PROGRESS:
        short, long = (balancer(g1, k * g2, u) for k in (0.1, 30.0))
        torch.testing.assert_close(short[0], long[0])
        torch.testing.assert_close(0.1 * short[1], 30.0 * long[1])


def test_pinned():
    g1, g2 = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 1.0)
    shape, texture = UnitSchedule(BalanceConfig(shape_floor=0.1))(g1, g2, 0.75)
    assert (float(shape), float(texture)) == (0.25, 2.25)
