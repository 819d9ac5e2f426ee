"""A step whose views go through a few at a time is the step that has them all at once."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.guidance.hifa import HiFAConfig
from tbsd_pack.tbsd_core.memory import PeakBytes
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.rng import PartGenerator, named_generator, rand_rows
from tbsd_pack.tbsd_core.scenes import SCENES, NeRFConfig

NERF = NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8)
EVERYTHING = dataclasses.replace(  # that is drawn, or that is a mean over the views
    NERF, shaded=1.0, textureless=0.0, background_mode="random", sparsity_weight=0.1, orientation_weight=0.1
)
EVERYTHING = dataclasses.replace(EVERYTHING, z_variance_weight=0.1, normal_weight=0.1, chunk_rays=300)
CASES = {
    "everything of a volume": ("nerf", EVERYTHING, "tbsd", {"normalize_by": "signal"}),
    "an environment, enlarged": ("nerf", dataclasses.replace(NERF, background_mode="learned"), "sds", {"size": 16}),
    "without the encoder": ("nerf", NERF, "csd", {"latent_until": 1.0}),
    "splats": ("gaussian", SCENES["gaussian"].config(n_gaussians=60), "bridge", {}),
    "pictures": ("image", SCENES["image"].config(n_images=5, size=32), "ism", {}),
    "latents": ("latent", SCENES["latent"].config(n_images=5), "sds", {}),
    "a gradient on pixels": ("nerf", NERF, HiFAConfig(pixel_scale=0.5), {}),
    "a LoRA": ("nerf", NERF, "vsd", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_give_the_gradient_and_the_record_of_all_views(case):
    name, scene_config, method, changes = CASES[case]
    config = OptimConfig(n_steps=1, views_per_step=5, **{"size": 24, "encode_size": 32, **changes})
    guidance = build_guidance(method) if isinstance(method, str) else build_guidance("hifa", method)
    prior = load_prior("learned")
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    found = []
    for at_once in (0, 2):
        scene = SCENES[name].scene(scene_config)
        state = OptimState.create(scene, config, create_adapter(prior, guidance, 0))
        state.view_chunk = at_once
        (record,) = optimize(Distillation(prior, prompts, guidance, scene, CameraConfig(), config), state)
        lora = [] if state.adapter is None else list(state.adapter.adapter.parameters())
        found.append((record, [p.grad for p in (*scene.parameters(), *lora)]))
    (whole, grads), (parts, same) = found
    assert any(g is not None and g.abs().max() > 0 for g in grads)
    for a, b in zip(grads, same, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-9 + 1e-3 * float(a.abs().max()))
    assert torch.equal(parts.t, whole.t) and not parts.render.rgb.requires_grad
    for key in ("rgb", "opacity", "depth"):
        torch.testing.assert_close(getattr(parts.render, key), getattr(whole.render, key), rtol=0, atol=1e-5)
    assert parts.scalars.keys() == whole.scalars.keys()
    for key, value in whole.scalars.items():
        assert parts.scalars[key] == pytest.approx(value, rel=1e-3, abs=1e-7), key


@pytest.mark.parametrize("name", ["image", "nerf"])
def test_one_of_four_views_at_a_time_takes_less_than_a_third_of_the_memory(name):
    """Where the encoder takes most of it, as at the size of a real model; the gradient is the same up to rounding."""
    config = OptimConfig(n_steps=1, views_per_step=4, size=64, encode_size=192)
    prior = load_prior("learned")
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    peaks, grads = [], []
    for at_once in (0, 1):
        scene = SCENES[name].scene(NERF if name == "nerf" else SCENES[name].config(n_images=4, size=64))
        state = OptimState.create(scene, config)
        state.view_chunk = at_once
        with PeakBytes() as memory:
            list(optimize(Distillation(prior, prompts, build_guidance("tbsd"), scene, CameraConfig(), config), state))
        peaks.append(memory.peak)
        grads.append(torch.cat([p.grad.flatten() for p in scene.parameters()]))
    assert peaks[1] < 0.3 * peaks[0]
    assert (grads[1] - grads[0]).norm() < 1e-5 * grads[0].norm()


@pytest.mark.parametrize("sizes", [(2, 2, 1), (1, 3, 1)])
def test_views_a_few_at_a_time_draw_what_they_draw_at_once(sizes):
    def draw(generator, n):
        rays = rand_rows(7 * n, 3, generator=generator)
        coin = torch.rand(2, generator=generator)
        return rays, rand_rows(n, 4, generator=generator, dtype=torch.float64), coin

    whole = draw(named_generator(3, "x"), 5)
    for _ in range(2):  # the second pass finds all states
        known, first, found = {}, 0, []
        for n in sizes:
            own = range(first, first + n)
            found.append(draw(PartGenerator.of(named_generator(3, "x"), own, 5, known), n))
            first += n
        for at in (0, 1):
            assert torch.equal(torch.cat([f[at] for f in found]), whole[at])
        assert all(torch.equal(f[2], whole[2]) for f in found)
