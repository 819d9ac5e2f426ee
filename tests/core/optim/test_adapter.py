"""The conditions of the LoRA that a method trains."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.scenes import NeRFConfig, NeRFScene


@pytest.mark.parametrize("method", ["vsd", "esd"])
def test_it_learns_the_target_without_view_words(method):
    """As in threestudio: only the prior hears of the view in words, the LoRA by the pose."""
    prior = load_learned_prior()
    config = OptimConfig(n_steps=1, views_per_step=2, size=32)
    found = {}
    for view_dependent in (True, False):
        texts = build_texts(PromptConfig(prompt="a brick house", view_dependent=view_dependent))
        prompts = encode_texts(texts, prior.encode_prompt)
        scene, guidance = NeRFScene(NeRFConfig(resolutions=(9,), n_samples=8)), METHODS[method].method()
        state = OptimState.create(scene, config, create_adapter(prior, guidance, 0))
        (record,) = optimize(Distillation(prior, prompts, guidance, scene, CameraConfig(), config), state)
        lora = [p.grad for p in state.adapter.adapter.parameters() if p.grad is not None]
        found[view_dependent] = record.scalars["loss_lora"], lora, record.scalars["grad_rms"]
    (loss, lora, rms), (plain_loss, plain_lora, plain_rms) = found[True], found[False]
    assert loss == plain_loss and all(torch.equal(a, b) for a, b in zip(lora, plain_lora, strict=True))
    assert abs(rms - plain_rms) > 1e-4, "the prior's prediction has the words of the view"
