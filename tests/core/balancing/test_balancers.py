from __future__ import annotations

import balancing_properties as properties
import pytest
import torch
from tbsd_pack.tbsd_core.balancing import BALANCERS, RULES, BalanceConfig, ProgressSchedule, build_balancer, mix
from tbsd_pack.tbsd_core.balancing.mgda import min_norm_weights

CONFIGS = [
    BalanceConfig(),
    BalanceConfig(shape_floor=0.0),
    BalanceConfig(shape_share=1.0, shape_floor=1.0, schedule=ProgressSchedule(kind="cosine")),
    BalanceConfig(shape_share=0.0, shape_floor=0.0, schedule=ProgressSchedule(kind="constant", start=0.0)),
]


@pytest.mark.parametrize("check", properties.ALL, ids=lambda c: c.__name__)
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", BALANCERS)
def test_property(name, config, check):
    check(build_balancer(name, config))


@pytest.mark.parametrize("name", ["mgda_schedule", "mgda"])
def test_zero_texture_leaves_all_to_shape(name):
    g1, _ = properties.directions()
    shape, texture = build_balancer(name, BalanceConfig())(g1, torch.zeros_like(g1), 0.5)
    assert shape.eq(1).all() and texture.eq(0).all()


@pytest.mark.parametrize("name", RULES)
def test_every_rule_can_follow_the_schedule_and_keeps_its_sum_of_weights(name):
    g1, g2 = properties.directions()
    config = BalanceConfig(shape_floor=0.0)
    rule, over_time = build_balancer(name, config), build_balancer(f"{name}_schedule", config)
    total = sum(rule(g1, g2, 0.5))
    for u in properties.PROGRESS:
        shape, texture = over_time(g1, g2, u)
        torch.testing.assert_close(shape + texture, total)
    assert over_time(g1, g2, 0.0)[1].eq(0).all() and over_time(g1, g2, 1.0)[0].eq(0).all()
    even = BalanceConfig(shape_floor=0.0, schedule=ProgressSchedule(kind="constant", start=0.5))
    torch.testing.assert_close(
        mix(build_balancer(f"{name}_schedule", even), g1, g2, 0.3).grad, mix(rule, g1, g2, 0.3).grad
    )


class _ByPixel:
    """Shape in the left half of the latents, texture in the right half: weights that are a map."""

    def active(self, progress):
        return True, True

    def __call__(self, grad_shape, grad_texture, progress):
        left = torch.zeros(1, 1, 1, grad_shape.shape[-1])
        left[..., : grad_shape.shape[-1] // 2] = 1
        return left, 1 - left


def test_weights_may_be_maps_over_the_latents():
    g1, g2 = torch.full((2, 3, 4, 4), 1.0), torch.full((2, 3, 4, 4), 5.0)
    mixed = mix(_ByPixel(), g1, g2, 0.5)
    assert mixed.grad[..., :2].eq(1).all() and mixed.grad[..., 2:].eq(5).all()
    assert mixed.lambda_shape.tolist() == mixed.lambda_texture.tolist() == [0.5, 0.5]


def test_scheduled_mgda_goes_from_geometry_to_texture():
    balancer = build_balancer("mgda_schedule", BalanceConfig(shape_floor=0.1))
    g1, g2 = properties.directions()
    weights = [balancer(g1, g2, u) for u in torch.linspace(0, 1, 11).tolist()]
    shape = torch.stack([w[0] for w in weights])
    texture = torch.stack([w[1] for w in weights])
    assert shape[0].eq(1).all() and texture[0].eq(0).all()
    assert shape[-1].eq(0.1).all() and texture[-1].eq(1).all()
    assert (shape.diff(dim=0) <= 1e-6).all() and (texture.diff(dim=0) >= -1e-6).all()


def test_scheduled_mgda_with_an_even_schedule_is_mgda():
    config = BalanceConfig(shape_floor=0.0, schedule=ProgressSchedule(kind="constant", start=0.5))
    g1, g2 = properties.directions()
    for ours, theirs in zip(
        build_balancer("mgda_schedule", config)(g1, g2, 0.3), min_norm_weights(g1, g2), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_scheduled_mgda_pinned_value():
    # lam = <g2 - g1, g2> / |g1 - g2|^2 = 1 / 5; r = 0.75: (0.15, 0.2) / 0.35
    g1, g2 = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    shape, texture = build_balancer("mgda_schedule", BalanceConfig())(g1, g2, 0.25)
    torch.testing.assert_close(shape, torch.tensor([0.15 / 0.35]))
    torch.testing.assert_close(texture, torch.tensor([0.2 / 0.35]))


def test_floor_holds_where_mgda_gives_all_to_texture():
    g2 = properties.directions()[1]
    shape, texture = build_balancer("mgda_schedule", BalanceConfig(shape_floor=0.1))(5 * g2, g2, 0.5)
    assert shape.eq(0.1).all() and texture.eq(1).all()


def test_schedule_and_fixed_pinned_values():
    g1, g2 = properties.directions(batch=1)
    shape, texture = build_balancer("schedule", BalanceConfig(shape_floor=0.3))(g1, g2, 0.75)
    assert (shape.item(), texture.item()) == (pytest.approx(0.3), 0.75)
    shape, texture = build_balancer("fixed", BalanceConfig(shape_share=0.8))(g1, g2, 0.75)
    assert (shape.item(), texture.item()) == (pytest.approx(0.8), pytest.approx(0.2))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="mgda_schedule, mgda, schedule, unit_schedule, fixed, pcgrad, pcgrad_shape"):
        build_balancer("sum", BalanceConfig())
    with pytest.raises(ValueError, match="conflict_aversion must be in"):
        BalanceConfig(conflict_aversion=1.0)
    with pytest.raises(ValueError, match="cutoff must be in"):
        BalanceConfig(cutoff=0.0)
    with pytest.raises(ValueError, match="shape_floor"):
        BalanceConfig(shape_floor=1.5)
    with pytest.raises(ValueError, match="shape_share"):
        BalanceConfig(shape_share=-0.1)
