from __future__ import annotations

import math

import pytest
from tbsd_pack.tbsd_core.cameras.sampling import view_name
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet, build_texts, encode_texts
from tbsd_pack.tbsd_core.prompts.perp_neg import OVERHEAD, view_mixture


@pytest.mark.parametrize("azimuth", [0.0, 20.0, -20.0, 45.0, 89.0, -80.0, 380.0])
def test_between_front_and_side_with_the_published_decays(azimuth):
    r = 1 - abs((azimuth + 180) % 360 - 180) / 90
    found = view_mixture(azimuth, 10.0)
    positive = {"front": r, "side": 1 - r}
    assert found.positive == pytest.approx({k: v for k, v in positive.items() if v > 0})
    assert found.negative["side"] == pytest.approx(4 * math.exp(-0.5 * (1 - r)) - 2.426)
    assert found.negative["front"] == pytest.approx(4 * math.exp(-0.5 * r) - 2.426)


@pytest.mark.parametrize("azimuth", [90.0, -91.0, 135.0, 180.0, -170.0])
def test_between_side_and_back_with_the_published_decays(azimuth):
    r = 2 - abs(azimuth) / 90
    found = view_mixture(azimuth, 10.0)
    positive = {"side": r, "back": 1 - r}
    assert found.positive == pytest.approx({k: v for k, v in positive.items() if v > 0})
    assert found.negative["front"] == pytest.approx(math.exp(-0.5 * r) + 0.967)
    assert found.negative["side"] == pytest.approx(max(0.0, math.exp(-0.5 * r) - 0.606))


def test_from_overhead_nothing_is_told_apart():
    found = view_mixture(100.0, OVERHEAD)
    assert (found.positive, found.negative) == ({"overhead": 1.0}, {})
    assert view_name(100.0, OVERHEAD) == "overhead" != view_name(100.0, OVERHEAD - 0.1)


def test_the_views_to_evaluate_are_the_fewest():
    assert view_mixture(30.0, 0.0).views == ("front", "side")
    assert view_mixture(120.0, 0.0).views == ("side", "back", "front")
    assert view_mixture(0.0, 80.0).views == ("overhead",)


def test_prompts_without_views_are_refused():
    texts = build_texts(PromptConfig(prompt="a house", view_dependent=False))
    with pytest.raises(ValueError, match="no front, side, back, overhead view. Turn view_dependent on"):
        encode_texts(texts, str, perp_neg=1.0)
    with pytest.raises(ValueError, match="turn view_dependent on, or set perp_neg to 0"):
        PromptConfig(prompt="a house", view_dependent=False, perp_neg=1.0)
    for wrong in (lambda: PromptConfig(prompt="a house", perp_neg=-1.0), lambda: PromptSet({}, {}, perp_neg=-1.0)):
        with pytest.raises(ValueError, match="perp_neg must be >= 0, got -1"):
            wrong()


def test_the_strength_stays_when_conditions_are_added():
    config = PromptConfig(prompt="a house")
    some = encode_texts(build_texts(config, ("target", "uncond")), str, perp_neg=0.5)
    assert some.with_conditions(encode_texts(build_texts(config, ("negative",)), str)).perp_neg == 0.5
