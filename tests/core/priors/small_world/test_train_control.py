from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.hints import depth_hint
from tbsd_pack.tbsd_core.priors.base import Hinted
from tbsd_pack.tbsd_core.priors.small_world import train_control, training_state
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_control, load_learned_prior
from tbsd_pack.tbsd_core.priors.small_world.train_control import ControlTrainConfig, make_control
from tbsd_pack.tbsd_core.priors.small_world.train_control import train_control as train
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras

TINY = ControlTrainConfig(n_views=1, steps=3, batch=2)


@pytest.fixture(scope="module")
def prior():
    return load_learned_prior()


def test_a_new_net_changes_nothing(prior):
    """Its last layers are zero: it begins as the prior itself."""
    prior = load_learned_prior()
    x_t, t = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    condition = prior.encode_prompt("a brick house")
    (before,) = prior.predict_noise(x_t, t, [[condition]])
    prior.attach_control(make_control(prior.unet), "depth")
    (after,) = prior.predict_noise(x_t, t, [[Hinted(condition, torch.rand(3, 64, 64))]])
    assert torch.equal(before, after)


def test_training_goes_on_as_if_it_had_not_been_interrupted(prior, tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", TINY, prior).state_dict()
    real = train_control.control_loss
    calls = []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training_state, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(train_control, "control_loss", breaks)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", TINY, prior)
    again = train(tmp_path / "broken", TINY, prior).state_dict()
    assert len(calls) == 4 and whole.keys() == again.keys()
    assert all(torch.equal(whole[k], again[k]) for k in whole)
    read = load_learned_control(tmp_path / "broken" / "control_depth").state_dict()
    for name, weight in whole.items():
        error = float((read[name] - weight).abs().max())
        assert error <= 0.01 * float(weight.abs().max()) + 1e-6, name


def test_the_shipped_net_is_small_and_knows_depth():
    """With the depth of a picture the noise in it is predicted better than without, and than with another depth."""
    assert sum(p.stat().st_size for p in (WEIGHTS / "control_depth").iterdir()) < 1.8e6
    prior = load_learned_prior()
    prior.attach_control(load_learned_control(), "depth")
    azimuth, elevation = torch.tensor([25.0, 110.0, 200.0, 290.0]), torch.tensor([10.0, 30.0, 20.0, 40.0])
    cameras = view_cameras(azimuth, elevation)
    errors = torch.zeros(3)
    for shape, material in (("house", "brick"), ("cube", "wooden"), ("torus", "marble")):
        truth = render_truth(shape, material, cameras)
        hints = depth_hint(truth.depth, truth.mask, cameras)
        x_0 = prior.encode(truth.images)
        noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
        t = torch.full((4,), 800)
        x_t = prior.schedule.add_noise(x_0, noise, t)
        empty = prior.encode_prompt("")
        for i, row in enumerate(
            ([empty] * 4, [Hinted(empty, h) for h in hints], [Hinted(empty, h) for h in hints.roll(1, 0)])
        ):
            (eps,) = prior.predict_noise(x_t, t, [row])
            errors[i] += (eps - noise).square().mean()
    without, own, others = errors.tolist()
    assert own < 0.9 * without and own < 0.9 * others
