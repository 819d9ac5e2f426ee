from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.comparison import count_evaluations, matched_steps
from tbsd_pack.tbsd_core.guidance import METHODS, BridgeConfig, build_guidance


def test_evaluations_by_hand():
    assert count_evaluations(build_guidance("sds"), 10) == 20
    bridge = build_guidance("bridge", BridgeConfig(switch=0.4, anchor=1.0))
    assert count_evaluations(bridge, 10) == 4 * 2 + 6 * 3
    # the schedule begins at shape alone: one step with two predictions
    assert count_evaluations(build_guidance("tbsd"), 10) == 2 + 9 * 3
    # with reuse the target alone is evaluated in two of three steps; step 9 is new
    assert count_evaluations(build_guidance("sds"), 10, reuse_steps=3) == 4 * 2 + 6 * 1


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("budget", [1, 50, 501])
def test_matched_steps_spend_the_budget_and_one_more_would_exceed_it(name, budget):
    guidance = build_guidance(name)
    n = matched_steps(guidance, budget)
    assert n == 1 or count_evaluations(guidance, n) <= budget
    assert count_evaluations(guidance, n + 1) > budget
