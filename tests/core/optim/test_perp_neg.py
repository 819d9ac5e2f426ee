"""Perp-Neg in a step: the formula on exact predictions, with every kind of method, and what it costs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.guidance.csd import CSD
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.optim import (
    Batch,
    Distillation,
    OptimConfig,
    OptimState,
    Predictor,
    optimize,
    predict_and_guide,
)
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.prompts.perp_neg import view_mixture
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene

ANGLES = [(10.0, 0.0), (-70.0, 20.0), (130.0, 5.0), (180.0, 0.0), (40.0, 75.0)]
VIEWS = ["front", "side", "side", "back", "overhead"]
SHAPE = (3, 4, 4)
T = torch.tensor([30, 200, 500, 700, 950])


def prompts(strength: float) -> PromptSet:
    generator = torch.Generator().manual_seed(2)

    def picture(variance: float) -> GaussianCondition:
        return GaussianCondition(torch.rand(SHAPE, generator=generator), variance)

    conditions = {"target": {view: picture(0.05) for view in ("", *dict.fromkeys(VIEWS))}}
    for name, variance in (("uncond", 0.2), ("negative", 0.1), ("target_negative", 0.08)):
        conditions[name] = {"": picture(variance)}
    return PromptSet(conditions, {n: dict.fromkeys(v, "") for n, v in conditions.items()}, strength)


class _Counting(GaussianPrior):
    """The real prior, counting the rows it evaluates and the forwards."""

    rows = forwards = 0

    def predict_noise(self, x_t, t, conditions):
        self.rows, self.forwards = self.rows + len(x_t) * len(conditions), self.forwards + 1
        return super().predict_noise(x_t, t, conditions)


def step(guidance, strength: float, progress: float = 0.5, samples=slice(None)):
    prior = _Counting({})
    generator = torch.Generator().manual_seed(4)
    x, noise = (draw(5, *SHAPE, generator=generator)[samples] for draw in (torch.rand, torch.randn))
    angles, views = ANGLES[samples], VIEWS[samples]
    predict = Predictor(prior, prompts(strength), views, angles=angles)
    return predict_and_guide(guidance, predict, Batch(x, T[samples], noise, x), progress).out, prior, x, noise


@pytest.mark.parametrize("scale", [1.0, 7.5])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_sds_with_perp_neg_is_the_published_prediction(scale, strength):
    """eps_uncond + s [e_+ - sum_i w_i (e_i without its part along e_+)], of closed-form predictions."""
    out, prior, x, noise = step(SDS(SDSConfig(guidance_scale=scale, weighting="uniform")), strength)
    conditions = prompts(strength).conditions
    for i, (azimuth, elevation) in enumerate(ANGLES):
        a = prior.schedule.alphas_cumprod[T[i]].double()
        x_t = a.sqrt() * x[i].double() + (1 - a).sqrt() * noise[i].double()

        def eps(c, a=a, x_t=x_t):
            return (1 - a).sqrt() * (x_t - a.sqrt() * c.mean.double()) / (a * c.variance + 1 - a)

        uncond = eps(conditions["uncond"][""])
        mixture = view_mixture(azimuth, elevation)
        plus = sum(w * eps(conditions["target"][v]) for v, w in mixture.positive.items()) - uncond
        total = plus.clone()
        for view, w in mixture.negative.items():
            e = eps(conditions["target"][view]) - uncond
            total -= strength * w * (e - (e * plus).sum() / (plus * plus).sum() * plus)
        # at s = 1 SDS asks for the target alone, and Perp-Neg adds the empty prompt automatically
        expected = uncond + scale * total - noise[i]
        torch.testing.assert_close(out.grad[i].double(), expected, atol=1e-4, rtol=1e-4)


def test_without_strength_or_angles_nothing_changes():
    plain, prior, x, noise = step(SDS(), 0.0)
    assert (prior.rows, prior.forwards) == (10, 1)
    blind = predict_and_guide(SDS(), Predictor(prior, prompts(1.0), VIEWS), Batch(x, T, noise), 0.5).out
    assert torch.equal(plain.grad, blind.grad)
    assert not torch.allclose(plain.grad, step(SDS(), 1.0)[0].grad)


@pytest.mark.parametrize("method", ["sds", "csd", "bridge", "tbsd", "nfsd", "bsd", "ism", "sdi", "hifa"])
def test_samples_are_independent_for_every_method(method):
    guidance = build_guidance(method)
    if method == "sdi":
        guidance = build_guidance(method, dataclasses.replace(guidance.config, eta=0.0, overshoot=0.0))
    whole = step(guidance, 1.0)[0].grad
    assert torch.isfinite(whole).all()
    for i in range(5):
        alone = step(guidance, 1.0, samples=slice(i, i + 1))[0].grad
        torch.testing.assert_close(whole[i : i + 1], alone, atol=1e-3, rtol=1e-3)


def test_it_costs_the_views_that_have_a_weight_in_one_more_forward():
    _, prior, *_ = step(SDS(), 1.0)
    # of the target: front and side, the same, side and back and front, back and side and front, overhead alone
    assert prior.rows == (2 + 2 + 3 + 3 + 1) + 5 and prior.forwards == 2
    _, prior, *_ = step(CSD(), 1.0, progress=0.9)  # CSD does without the empty prompt here
    assert prior.rows == 11 + 5 + 5


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_only_scenes_with_cameras_have_views(strength):
    config = OptimConfig(n_steps=1, views_per_step=4, size=8)
    nerf = NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))
    conditions = {
        "target": {view: GaussianCondition(0.3 * i, 0.1) for i, view in enumerate(("", *dict.fromkeys(VIEWS)))},
        "uncond": {"": GaussianCondition(0.5, 0.2)},
    }
    prompts = PromptSet(conditions, {n: dict.fromkeys(v, "") for n, v in conditions.items()}, strength)
    for scene in (ImageScene(ImageConfig(size=8)), nerf):
        prior, state = _Counting({}), OptimState.create(scene, config)
        (record,) = optimize(Distillation(prior, prompts, SDS(), scene, CameraConfig(), config), state)
        assert not record.skipped
        assert (prior.forwards == 2) == (scene.uses_cameras and strength > 0)
