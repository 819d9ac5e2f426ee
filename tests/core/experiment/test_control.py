"""The ControlNet of a configuration: stored, resumed, given to the prior, or refused in plain words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from tbsd_pack.tbsd_core.experiment import (
    Experiment,
    ExperimentConfig,
    MeshInput,
    check_config,
    config_from_plain,
    default_config,
    read_newest,
    read_prior,
    resumed,
)
from tbsd_pack.tbsd_core.experiment.config import plain_config
from tbsd_pack.tbsd_core.experiment.control import add_control
from tbsd_pack.tbsd_core.optim.hints import ControlConfig
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS

DEPTH = ControlConfig(kind="depth", strength=0.8)


def small_run(n_steps: int = 3, control: ControlConfig = DEPTH, prior: str = "learned") -> ExperimentConfig:
    mesh = MeshInput(file="sample:house")
    config = default_config("a brick house", "mesh_texture", "sds", prior, n_steps=n_steps, size=32, mesh=mesh)
    small = replace(config.scene, resolutions=(5, 9))
    return replace(config, scene=small, optim=replace(config.optim, views_per_step=1), control=control)


def colours(experiment: Experiment) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in experiment.scene.parameters()])


def test_a_run_goes_on_with_it_bit_for_bit(tmp_path):
    config = small_run()
    prior = read_prior(config)
    whole = Experiment(config, prior)
    for _ in whole.steps():
        pass
    broken = Experiment(config, prior)
    next(broken.steps())
    broken.save(tmp_path / "state.safetensors")
    again, changed = resumed(read_newest(tmp_path / "state.safetensors"), config, read_prior(config))
    for _ in again.steps():
        pass
    assert changed == [] and torch.equal(colours(again), colours(whole))
    other = replace(config, control=ControlConfig())
    _, changed = resumed(read_newest(tmp_path / "state.safetensors"), other, prior)
    assert "control.kind was 'depth', is 'none'" in changed


def test_files_from_before_it_open_without_one():
    config = small_run()
    stored = plain_config(config)
    assert config_from_plain(stored).control == DEPTH
    del stored["control"]
    assert config_from_plain(stored).control == ControlConfig()
    with pytest.raises(ValueError, match="kind"):
        config_from_plain({**stored, "control": {"kind": "sketch"}})


def test_experiments_on_one_prior_each_have_their_own():
    """One without a control between two with one: the draws are the same, so only the control differs."""
    with_it, without = small_run(1), small_run(1, ControlConfig())
    prior = read_prior(with_it)
    found = []
    for config in (with_it, without, with_it):
        experiment = Experiment(config, prior)
        for _ in experiment.steps():
            pass
        found.append(colours(experiment))
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


@pytest.mark.parametrize(
    ("control", "prior", "what"),
    [
        (dict(kind="normal"), "learned", "of its own, for depth"),
        (dict(kind="depth", net="somewhere"), "learned", "leave control.net empty"),
        (dict(kind="depth"), "exact", "has no ControlNet"),
    ],
)
def test_what_a_demo_model_cannot_have_is_said_before_a_run(control, prior, what):
    config = small_run(control=ControlConfig(**control), prior=prior)
    with pytest.raises(ValueError, match=what):
        check_config(config)


def test_pictures_have_no_geometry():
    config = replace(default_config("a brick house", "image", size=32), control=DEPTH)
    with pytest.raises(ValueError, match="no geometry"):
        check_config(config)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    """The demo model as a pipeline folder that anybody could have, and a ControlNet for it beside."""
    from tbsd_pack.tbsd_core.priors.small_world.quantized import convert

    folder = tmp_path_factory.mktemp("pipelines") / "demo"
    convert(WEIGHTS, folder, expand=True)
    (folder / "control_depth").rename(folder.parent / "net")
    other = diffusers.ControlNetModel(block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8,
                                      cross_attention_dim=64, attention_head_dim=4,
                                      down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"))  # fmt: skip
    other.save_pretrained(folder.parent / "other", safe_serialization=True)
    return folder


def test_a_pipeline_takes_a_folder_of_diffusers(pipeline):
    """The demo model's own weights, read as any pipeline's with any ControlNet, give what it gives."""
    config = small_run(1, replace(DEPTH, net=str(pipeline.parent / "net")))
    config = replace(config, prior=f"diffusers:{pipeline}")
    prior = read_prior(config)
    theirs, ours = Experiment(config, prior), Experiment(small_run(1), read_prior(small_run(1)))
    for experiment in (theirs, ours):
        for _ in experiment.steps():
            pass
    torch.testing.assert_close(colours(theirs), colours(ours), atol=1e-4, rtol=1e-4)


def test_a_net_that_does_not_fit_is_refused(pipeline):
    config = replace(small_run(), prior=f"diffusers:{pipeline}")
    prior = read_prior(config)

    def asked(**control):
        return replace(config, control=replace(DEPTH, **control))

    with pytest.raises(ValueError, match=r"control.net=PATH"):
        add_control(asked(), prior)
    with pytest.raises(ValueError, match="belongs to another model"):
        add_control(asked(net=str(pipeline.parent / "other")), prior)
    with pytest.raises(FileNotFoundError):
        add_control(asked(net=str(pipeline.parent / "nothing")), prior)
    pickled = pipeline.parent / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text(json.dumps({"_class_name": "ControlNetModel"}))
    (pickled / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="pickle"):
        add_control(asked(net=str(pickled)), prior)
