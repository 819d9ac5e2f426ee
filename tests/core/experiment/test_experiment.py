"""A run kept in its file and resumed is as if nothing had happened."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.experiment import (
    Experiment,
    ExperimentConfig,
    config_from_plain,
    default_config,
    plain_config,
    read_file,
    read_prior,
    resumed,
    stored_config,
)
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

STEPS = 6


def small(scene: str, method: str = "tbsd") -> ExperimentConfig:
    return default_config("a brick house", scene, method, prior="exact", n_steps=STEPS, size=32)


def advance(experiment: Experiment, until: int = STEPS) -> Experiment:
    for record in experiment.steps():
        if record.step + 1 == until:
            break
    return experiment


@pytest.mark.parametrize("name", ["image", "nerf", "gaussian"])
def test_a_run_goes_on_from_its_file_bit_for_bit(name, tmp_path):
    config = small(name)
    prior = read_prior(config)
    whole, part = advance(Experiment(config, prior)), advance(Experiment(config, prior), 3)
    taken = part.stored()
    part.save(tmp_path / "a.safetensors")
    copies = {key: value.clone() for key, value in taken.tensors.items()}
    advance(part, 4)
    assert all(torch.equal(copies[key], value) for key, value in taken.tensors.items()), "a copy, not a view"
    assert len(taken.curves.steps) == 3

    assert stored_config(tmp_path / "a.safetensors") == config
    again, changed = resumed(read_file(tmp_path / "a.safetensors"), config, prior)
    assert changed == [] and again.state.step == 3
    advance(again)
    assert all(torch.equal(v, again.scene.state_dict()[k]) for k, v in whole.scene.state_dict().items())
    assert again.curves.steps == list(range(STEPS))


@pytest.mark.parametrize("name", ["image", "nerf", "gaussian"])
def test_a_state_that_is_taken_up_twice_is_the_same_both_times(name):
    """ComfyUI keeps the result of Load Scene, and the next graph that is queued continues it again."""
    config = small(name)
    prior = read_prior(config)
    part = advance(Experiment(config, prior), 3)
    taken, scene = part.stored(), copy_scene(part.scene, "cpu")
    before = {key: value.clone() for key, value in taken.tensors.items()}
    again = Experiment(config, prior, scene=copy_scene(scene, "cpu"))
    again.restore(taken)
    advance(again)
    assert before.keys() == taken.tensors.keys()
    assert all(torch.equal(before[key], value) for key, value in taken.tensors.items())


def test_every_part_of_the_configuration_that_differs_is_told(tmp_path):
    config = small("image")
    prior = read_prior(config)
    advance(Experiment(config, prior), 3).save(tmp_path / "a.safetensors")
    stored = read_file(tmp_path / "a.safetensors")
    other = replace(
        config,
        prompt=replace(config.prompt, prompt="a wooden cube"),
        guidance=replace(config.guidance, guidance_scale=50.0),
        cameras=replace(config.cameras, distance=4.0),
        optim=replace(config.optim, n_steps=9),
    )
    _, changed = resumed(stored, other, prior)
    assert changed == [
        "prompt.prompt was 'a brick house', is 'a wooden cube'",
        "guidance.guidance_scale was 6.0, is 50.0",
        "cameras.distance was 3.0, is 4.0",
        "optim.n_steps was 6, is 9",
    ]


@pytest.mark.parametrize(("was", "now"), [(True, "rms"), (False, "none")])
def test_a_configuration_of_release_0_1_is_still_read(was, now):
    config = replaced(small("nerf"), "optim.normalize_by", now)
    stored = plain_config(config)
    del stored["optim"]["normalize_by"], stored["scene"]["shaded_from"], stored["scene"]["normal_weight"]
    stored["optim"]["normalize_grad"] = was
    assert config_from_plain(stored) == config
    assert "normalize_grad" in stored["optim"], "what was given stays as it is"


def test_what_does_not_fit_is_refused_by_name(tmp_path):
    config = small("image")
    prior = read_prior(config)
    advance(Experiment(config, prior), 3).save(tmp_path / "a.safetensors")
    stored = read_file(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="has done 3 steps, and steps is 2. Raise steps"):
        resumed(stored, replace(config, optim=replace(config.optim, n_steps=2)), prior)
    with pytest.raises(ValueError, match="scene_name: was 'image', is 'nerf'"):
        resumed(stored, small("nerf"), prior)
    with pytest.raises(ValueError, match="optim.optimizer: was 'auto', is 'adam'"):
        resumed(stored, replace(config, optim=replace(config.optim, optimizer="adam")), prior)
    with pytest.raises(ValueError, match=r"scene\.size: was 32, is 16"):
        resumed(stored, replace(config, scene=replace(config.scene, size=16)), prior)
    learned = replace(default_config("a brick house", "image", "vsd", n_steps=STEPS, size=32), scene=config.scene)
    with pytest.raises(ValueError, match="holds no LoRA.*guidance_name: was 'tbsd', is 'vsd'"):
        resumed(stored, learned, read_prior(learned))
