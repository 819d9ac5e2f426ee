"""Every method evaluates the prior as often as it says."""

from __future__ import annotations

import functools
import re

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior
from tbsd_pack.tbsd_core.guidance import (
    METHODS,
    TrainingGuidance,
    TrajectoryGuidance,
    all_conditions,
    build_guidance,
)
from tbsd_pack.tbsd_core.guidance.dds import DDSConfig
from tbsd_pack.tbsd_core.guidance.hifa import HiFAConfig
from tbsd_pack.tbsd_core.guidance.ism import ISMConfig
from tbsd_pack.tbsd_core.guidance.sdi import SDIConfig
from tbsd_pack.tbsd_core.guidance.sds import SDSConfig
from tbsd_pack.tbsd_core.guidance.ssd import SSDConfig
from tbsd_pack.tbsd_core.optim import Batch, OptimConfig, OptimState, Predictor, create_adapter, predict_and_guide
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet, build_texts, encode_texts
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene

T = torch.tensor([0, 1, 99, 100, 101, 250, 640, 979, 999])
CONFIGS = [
    *((name, None) for name in METHODS if not isinstance(build_guidance(name), TrainingGuidance)),
    ("sds", SDSConfig(guidance_scale=1.0)),
    ("ism", ISMConfig(stride=0.07, interval=0.3, baseline="negative")),
    ("ism", ISMConfig(stride=1.0, guidance_scale=1.0)),
    ("sdi", SDIConfig(n_inversion_steps=3, eta=0.0)),
    ("sdi", SDIConfig(inversion_scale=1.0, n_inversion_steps=1, overshoot=0.0)),
    ("hifa", HiFAConfig(guidance_scale=0.0)),
    ("dds", DDSConfig(guidance_scale=1.0)),
    ("ssd", SSDConfig(enhance_scale=0.0)),
]


def n_evaluations(guidance, progress: float, t: torch.Tensor, n_timesteps: int) -> torch.Tensor:
    """Noise predictions [B] of a step by what the method says of itself; its LoRA's training apart."""
    count = torch.full((len(t),), len(guidance.required(progress)))
    if isinstance(guidance, TrajectoryGuidance):
        count = count + len(guidance.visited(progress)) * guidance.visits(progress, t, n_timesteps)
    return count


@functools.cache
def learned():
    return load_prior("learned")


class _Counting(GaussianPrior):
    """The real prior, noting for each sample how often it is evaluated; samples are told apart by their conditions."""

    def predict_noise(self, x_t, t, conditions):
        for row in conditions:
            for condition in row:
                self.counts[condition.sample] += 1
        return super().predict_noise(x_t, t, conditions)


class _Tagged:
    """A Gaussian that knows of which sample it is asked."""

    def __init__(self, condition, sample: int) -> None:
        self.mean, self.variance, self.sample = condition.mean, condition.variance, sample


def count(guidance, progress: float) -> list[int]:
    prior = _Counting(gaussian_prior().prompts)
    prior.counts = [0] * len(T)
    names = ("target", "uncond", "negative", "target_negative", "source")
    views = [f"view {i}" for i in range(len(T))]
    by_view = {
        n: {"": prior.prompts[n]} | {v: _Tagged(prior.prompts[n], i) for i, v in enumerate(views)} for n in names
    }
    prompts = PromptSet(by_view, {n: dict.fromkeys(v, n) for n, v in by_view.items()})
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.rand(len(T), *SHAPE, generator=generator), torch.randn(len(T), *SHAPE, generator=generator)
    batch = Batch(x, T, noise, x, x.flip(0))
    predict_and_guide(guidance, Predictor(prior, prompts, views), batch, progress, generator=generator)
    return prior.counts


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_the_prior_is_evaluated_as_often_as_the_method_says(name, config, progress):
    guidance = build_guidance(name, config)
    assert count(guidance, progress) == n_evaluations(guidance, progress, T, 1000).tolist()


@pytest.mark.parametrize("name", METHODS)
def test_the_network_runs_as_often_as_the_method_says(name):
    """Counted in the rows of a real network, so that the predictions of a LoRA are among them."""
    prior, guidance, rows = learned(), build_guidance(name), []
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    scene = ImageScene(ImageConfig(n_images=2, size=16))
    state = OptimState.create(scene, OptimConfig(), create_adapter(prior, guidance, 0))
    t, x = torch.tensor([150, 420]), torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    hook = prior.unet.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    try:
        images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        predict = Predictor(prior, prompts, ["", ""], state.adapter)
        out = predict_and_guide(guidance, predict, Batch(x, t, x, images, -x), 0.3).out
    finally:
        hook.remove()
    assert torch.isfinite(out.grad).all()
    assert sum(rows) == int(n_evaluations(guidance, 0.3, t, 1000).sum())


@pytest.mark.parametrize("name", METHODS)
def test_the_text_names_the_counts_of_the_defaults(name):
    guidance = build_guidance(name)
    t = torch.arange(20, 980)
    counts = [n_evaluations(guidance, u, t, 1000) for u in torch.linspace(0, 1, 11).tolist()]
    least, most = int(torch.stack(counts).min()), int(torch.stack(counts).max())
    numbers = [int(n) for n in re.findall(r"\d+", METHODS[name].evaluations)]
    assert most in numbers and least in numbers
    if isinstance(guidance, TrajectoryGuidance):
        assert numbers[:2] == [least, most]
    else:
        assert most <= numbers[0] + 1


def test_conditions_on_the_way_count_as_conditions():
    assert all_conditions(build_guidance("ism", ISMConfig(baseline="negative")), 0.5) == (
        "target",
        "negative",
        "uncond",
    )
    assert all_conditions(build_guidance("sdi"), 0.5) == ("target", "uncond")
    assert all_conditions(build_guidance("tbsd"), 0.0) == ("target", "uncond")
