"""A picture that a run keeps to from the front, named by its configuration."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from tbsd_pack.tbsd_core.experiment import Experiment, config_from_plain, default_config, plain_config, resumed
from tbsd_pack.tbsd_core.experiment.file import read_newest
from tbsd_pack.tbsd_core.optim import ReferenceConfig
from tbsd_pack.tbsd_core.priors.small_world import load_prior


def config_with(file: str, n_steps: int = 2):
    config = default_config("a brick house", "nerf", "sds", n_steps=n_steps)
    optim = replace(config.optim, size=16, views_per_step=1, latent_until=0.0)
    scene = replace(config.scene, resolutions=(5, 9), n_samples=12)
    return replace(config, optim=optim, scene=scene, reference=ReferenceConfig(file=file, elevation=20.0))


@pytest.fixture
def cutout(tmp_path) -> str:
    """A red square in the left half of a transparent picture."""
    pixels = np.zeros((32, 64, 4), dtype=np.uint8)
    pixels[8:24, 4:20] = (255, 0, 0, 255)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "square.png")
    return str(tmp_path / "square.png")


def test_it_is_read_cut_out_and_kept_in_the_stored_configuration(cutout, tmp_path):
    prior, config = load_prior("learned"), config_with(cutout)
    assert config_from_plain(plain_config(config)) == config
    without = plain_config(config)
    del without["reference"]
    assert config_from_plain(without).reference == ReferenceConfig(), "files of runs before it"
    experiment = Experiment(config, prior)
    reference = experiment.reference
    assert reference is not None and reference.rgb.shape[-1] == round(16 / 0.75)
    inside = reference.mask.expand(-1, 3, -1, -1) > 0
    assert torch.equal(reference.rgb[inside].unique(), torch.tensor([0.0, 1.0]))
    records = [record.scalars for record in experiment.steps()]
    assert all(float(scalars["loss_reference_rgb"]) > 0 for scalars in records)
    experiment.save(tmp_path / "run.safetensors")
    again, changed = resumed(read_newest(tmp_path / "run.safetensors"), config_with(cutout, n_steps=3), prior)
    assert again.reference is not None and len(list(again.steps())) == 1


def test_a_run_that_is_resumed_ends_as_one_in_one_piece(cutout, tmp_path):
    prior = load_prior("learned")
    whole, first = (Experiment(config_with(cutout, n_steps=4), prior) for _ in range(2))
    assert len(list(whole.steps())) == 4
    for _ in islice(first.steps(), 2):
        pass
    first.save(tmp_path / "run.safetensors")
    second, changed = resumed(read_newest(tmp_path / "run.safetensors"), config_with(cutout, n_steps=4), prior)
    assert len(list(second.steps())) == 2 and not changed
    for a, b in zip(whole.scene.parameters(), second.scene.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_file_that_is_not_there_or_has_no_object_is_refused(tmp_path):
    prior = load_prior("learned")
    with pytest.raises(FileNotFoundError, match="There is no picture"):
        Experiment(config_with(str(tmp_path / "nothing.png")), prior)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "opaque.png")
    with pytest.raises(ValueError, match="transparent"):
        Experiment(config_with(str(tmp_path / "opaque.png")), prior)
