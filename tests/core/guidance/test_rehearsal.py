"""Noise as real models have it, added to the gradient of any method."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.experiment import Experiment, config_from_plain, default_config, plain_config, read_prior
from tbsd_pack.tbsd_core.guidance import (
    METHODS,
    GuidanceInputs,
    PixelGuidance,
    TrainingGuidance,
    TrajectoryGuidance,
    build_guidance,
)
from tbsd_pack.tbsd_core.guidance.base import SOURCE_NAMES, ShiftedGuidance
from tbsd_pack.tbsd_core.guidance.rehearsal import noisy
from tbsd_pack.tbsd_core.priors.schedule import scaled_linear

N = 64
NAMES = ("target", "uncond", "negative", "target_negative", "lora", "lora_no_camera", *SOURCE_NAMES)


def inputs(progress: float) -> GuidanceInputs:
    generator = torch.Generator().manual_seed(1)
    eps = {name: torch.randn(2, 4, N, N, generator=generator) for name in NAMES}
    noise = torch.randn(2, 4, N, N, generator=generator)
    latents, source = (torch.randn(2, 4, N, N, generator=generator) for _ in range(2))
    a_bar, t = torch.tensor([0.3, 0.8]), torch.tensor([600, 200])
    return GuidanceInputs(eps, noise, a_bar, t, progress, 1000, latents, source, scaled_linear())


@pytest.mark.parametrize("name", METHODS)
def test_noise_has_its_size_in_every_sample_and_the_method_is_what_it_was(name):
    method = build_guidance(name)
    made = noisy(method, 4.0, seed=3, n_steps=10)
    clean, out = method(inputs(0.5)), made(inputs(0.5))
    added = out.grad - clean.grad
    ratio = added.pow(2).mean((1, 2, 3)).sqrt() / clean.grad.pow(2).mean((1, 2, 3)).sqrt()
    assert torch.allclose(ratio, torch.full((2,), 4.0), rtol=0.02)  # 16,384 cells
    cosine = torch.cosine_similarity(added.flatten(1), clean.grad.flatten(1))
    assert cosine.abs().max() < 0.05, "it says nothing of the gradient"
    assert all(torch.equal(out.terms[k], v) for k, v in clean.terms.items())
    assert made.config is method.config and made.required(0.5) == method.required(0.5)
    for protocol in (TrainingGuidance, TrajectoryGuidance, PixelGuidance, ShiftedGuidance):
        assert isinstance(made, protocol) == isinstance(method, protocol)
        # as isinstance asks from Python 3.12 on: what __getattr__ finds does not count
        members = [n for n in vars(protocol) if not n.startswith("_")]
        held = [all(inspect.getattr_static(x, n, None) is not None for n in members) for x in (made, method)]
        assert held[0] == held[1]


def test_it_is_another_in_each_step_and_for_each_seed_and_repeats():
    method = build_guidance("sds")

    def added(seed: int, step: int) -> torch.Tensor:
        at = inputs(step / 10)
        return noisy(method, 1.0, seed, 10)(at).grad - method(at).grad

    first = added(0, 1)
    assert torch.equal(first, added(0, 1))
    for other in (added(0, 2), added(1, 1)):
        assert torch.cosine_similarity(first.flatten(), other.flatten(), 0).abs() < 0.05


def test_a_run_has_it_and_goes_on_with_it_bit_for_bit():
    config = default_config("a brick house", "latent", "tbsd", "exact", n_steps=4, size=32)
    noisy = replace(config, rehearsal_noise=4.0)
    assert config_from_plain(plain_config(noisy)) == noisy
    prior = read_prior(config)

    def result(of, stop: int = 4) -> Experiment:
        experiment = Experiment(of, prior)
        for record in experiment.steps():
            if record.step + 1 == stop:
                break
        return experiment

    whole, clean, part = result(noisy), result(config), result(noisy, stop=2)
    assert not torch.equal(whole.scene.latents, clean.scene.latents)
    rest = Experiment(noisy, prior, scene=part.scene)
    rest.restore(part.stored())
    for _ in rest.steps():
        pass
    assert torch.equal(rest.scene.latents, whole.scene.latents)


@pytest.mark.parametrize("noise", [-1.0, float("inf"), float("nan")])
def test_noise_that_is_none_is_refused(noise):
    with pytest.raises(ValueError, match="rehearsal_noise must be 0 or more"):
        replace(default_config("a brick house"), rehearsal_noise=noise)
