"""A source beside the scene: seen alike, asked in the same forward, never changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import GuidanceOutput, build_guidance
from tbsd_pack.tbsd_core.guidance.dds import DDS
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, optimize
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet, build_texts
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene
from tbsd_pack.tbsd_core.scenes.stored import copy_scene, is_untouched

NAMES = ("target", "uncond", "source")
# what is drawn for a view: light and background
NERF = NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8, shaded=1.0, background_mode="random")
ANYWHERE = CameraConfig()


class Noting(GaussianPrior):
    """The real prior, noting the rows and the noisy latents of each forward."""

    def predict_noise(self, x_t, t, conditions):
        self.forwards.append((len(x_t) * len(conditions), x_t.clone()))
        return super().predict_noise(x_t, t, conditions)

    def encode(self, images):
        self.encoded += 1
        return super().encode(images)


class Watched(DDS):
    """DDS, noting what it is given."""

    def __call__(self, inputs) -> GuidanceOutput:
        self.seen.append(inputs)
        return super().__call__(inputs)


def parts(views=("",)):
    prior = Noting({n: GaussianCondition(m, 0.1) for n, m in zip(NAMES, (0.8, 0.5, 0.2), strict=True)})
    prior.forwards, prior.encoded = [], 0
    prompts = PromptSet({n: {v: prior.prompts[n] for v in views} for n in NAMES}, {n: {"": n} for n in NAMES})
    method = Watched()
    method.seen = []
    return prior, prompts, method


def steps(scene, source, n: int = 2, chunk: int = 0, views: int = 3):
    prior, prompts, method = parts()
    config = OptimConfig(n_steps=n, views_per_step=views, size=8)
    state = OptimState.create(scene, config)
    state.view_chunk = chunk
    run = Distillation(prior, prompts, method, scene, ANYWHERE, config, source=source)
    assert len(list(optimize(run, state))) == n
    return prior, method


def test_a_scene_and_its_source_are_seen_alike_until_the_scene_changes():
    """Cameras, size, light, background and noise are the same, so that at first the latents are equal to the bit."""
    scene = NeRFScene(NERF)
    prior, method = steps(scene, copy_scene(scene))
    first, second = method.seen
    assert torch.equal(first.latents, first.source) and float(first.latents.std()) > 0
    assert not torch.equal(second.latents, second.source)
    assert not torch.equal(first.source, second.source), "the cameras are others in each step"


def test_all_predictions_of_a_step_are_one_forward():
    scene = NeRFScene(NERF)
    source = NeRFScene(NeRFConfig(**{**vars(NERF), "seed": 1}))
    prior, method = steps(scene, source)
    assert [rows for rows, _ in prior.forwards] == [3 * 4, 3 * 4]
    inputs, x = method.seen[0], prior.forwards[0][1].view(4, 3, 3, 8, 8)
    at = {n: prior.schedule.add_noise(v, inputs.noise, inputs.t) for n, v in
          (("target", inputs.latents), ("source", inputs.source))}  # fmt: skip
    for row, name in zip(x, ("target", "target", "source", "source"), strict=True):
        torch.testing.assert_close(row, at[name])


def test_nothing_changes_the_source():
    scene = NeRFScene(NERF)
    source = copy_scene(scene)
    before = {k: v.clone() for k, v in source.state_dict().items()}
    steps(scene, source, n=3)
    assert all(torch.equal(v, before[k]) for k, v in source.state_dict().items())
    assert all(p.grad is None for p in source.parameters())
    assert is_untouched(source) and not is_untouched(scene)


def test_a_few_views_at_a_time_are_the_step_of_all_at_once():
    found = []
    for chunk in (0, 2):
        scene, source = NeRFScene(NERF), NeRFScene(NeRFConfig(**{**vars(NERF), "seed": 1}))
        steps(scene, source, n=1, chunk=chunk)
        found.append(torch.cat([p.grad.flatten() for p in scene.parameters() if p.grad is not None]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_a_picture_that_nothing_changes_is_encoded_once():
    scene = ImageScene(ImageConfig(size=8, n_images=2))
    prior, _ = steps(scene, copy_scene(scene), n=4)
    assert prior.encoded == 4 + 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "DDS edits an existing scene, but no source was given"),
        (NeRFScene(NERF), "The source is an object, but the scene is 1 picture"),
        (ImageScene(ImageConfig(size=8, n_images=2)), "The source is 2 picture"),
    ],
    ids=["none", "an object", "two pictures"],
)
def test_what_cannot_be_compared_is_one_sentence(source, message):
    prior, prompts, _ = parts()
    scene, config = ImageScene(ImageConfig(size=8)), OptimConfig(n_steps=1, size=8)
    run = Distillation(prior, prompts, build_guidance("dds"), scene, ANYWHERE, config, source=source)
    with pytest.raises(ValueError, match=message):
        next(optimize(run, OptimState.create(scene, config)))


def test_perp_neg_is_refused():
    prior, prompts, _ = parts(("", "front", "side", "back", "overhead"))
    scene, config = NeRFScene(NERF), OptimConfig(n_steps=1, size=8)
    moved = replace(prompts, perp_neg=1.0)
    run = Distillation(prior, moved, build_guidance("dds"), scene, ANYWHERE, config, source=copy_scene(scene))
    with pytest.raises(ValueError, match="so DDS would change what should stay; got perp_neg 1. Set perp_neg to 0"):
        next(optimize(run, OptimState.create(scene, config)))


def test_the_words_of_the_source_are_told_like_those_of_the_target():
    texts = build_texts(PromptConfig(prompt="a wooden house", source="a brick house", target_modifier="sharp"))
    assert texts["source"]["front"] == "a brick house, front view, sharp"
    assert set(texts["source"]) == set(texts["target"])
    assert build_texts(PromptConfig(prompt="made of wood"))["source"] == {"": ""}
    for source in ("a house", " a house "):
        with pytest.raises(ValueError, match="are the same, 'a house': there is nothing to change"):
            PromptConfig(prompt="a house", source=source)
