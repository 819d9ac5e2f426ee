"""The cost of a run is known before it begins: the same number that a counting prior finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.experiment import (
    Experiment,
    default_config,
    evaluations_per_view,
    matched_steps,
    read_prior,
)
from tbsd_pack.tbsd_core.guidance import METHODS, build_guidance
from tbsd_pack.tbsd_core.guidance.base import has_source

PRIOR = None


def small(scene: str, method: str, n_steps: int = 6, **settings):
    config = default_config("a brick house", scene, method, n_steps=n_steps, size=16)
    if scene == "nerf":
        settings = {"scene.resolutions": (5, 9), "scene.n_samples": 8, "optim.latent_until": 0.0} | settings
    for name, value in settings.items():
        config = replaced(config, name, value)
    return config


def counted(config) -> int:
    """Rows that go through the network in the whole run: for the method, a trajectory, the LoRA's training."""
    global PRIOR
    PRIOR = PRIOR or read_prior(config)
    experiment, rows = Experiment(config, PRIOR), []
    hook = PRIOR.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    try:
        for _ in experiment.steps():
            pass
    finally:
        hook.remove()
    assert experiment.evaluations == sum(rows)
    return sum(rows)


@pytest.mark.parametrize("method", [name for name, spec in METHODS.items() if not spec.flow_only])
@pytest.mark.parametrize(
    ("scene", "settings"),
    [
        ("image", {}),
        ("nerf", {"optim.views_per_step": 3}),
        ("nerf", {"optim.views_per_step": 2, "prompt.perp_neg": 1.0}),
    ],
    ids=["image", "nerf", "perp_neg"],
)
def test_a_run_costs_what_was_said(method, scene, settings):
    config = small(scene, method, **settings)
    n = config.optim.views_per_step if scene == "nerf" else 1
    if config.prompt.perp_neg and has_source(build_guidance(method)):
        with pytest.raises(ValueError, match="Perp-Neg moves the goal of an edit and not its source"):
            counted(config)
        return
    assert counted(config) == evaluations_per_view(config) * n


@pytest.mark.parametrize("method", ["sds", "bridge", "tbsd", "csd", "dds", "tbsd_edit"])
def test_predictions_that_are_taken_again_cost_nothing(method):
    config = small("image", method, 7, **{"optim.reuse_steps": 3})
    assert counted(config) == evaluations_per_view(config)


def test_evaluations_by_hand():
    assert evaluations_per_view(small("image", "sds", 10)) == 20
    bridge = small("image", "bridge", 10, **{"guidance.switch": 0.4, "guidance.anchor": 1.0})
    assert evaluations_per_view(bridge) == 4 * 2 + 6 * 3
    # the schedule begins at shape alone: one step with two predictions
    tbsd = small("image", "tbsd", 10, **{"guidance.balance.schedule.start": 1.0})
    assert evaluations_per_view(tbsd) == 2 + 9 * 3
    # with reuse the target alone is evaluated in two of three steps; step 9 is new
    assert evaluations_per_view(small("image", "sds", 10, **{"optim.reuse_steps": 3})) == 4 * 2 + 6 * 1
    # three predictions, and one more in the training step of the LoRA
    assert evaluations_per_view(small("image", "vsd", 10)) == 10 * (3 + 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [1, 50, 501])
def test_matched_steps_spend_the_budget_and_one_more_would_exceed_it(method, budget):
    config = small("image", method)

    def cost(n: int) -> float:
        return evaluations_per_view(replace(config, optim=replace(config.optim, n_steps=n)))

    n = matched_steps(config, budget)
    assert n == 1 or cost(n) <= budget
    assert cost(n + 1) > budget
