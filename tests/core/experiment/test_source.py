"""The start of an edit is part of its run: kept in the file, resumed to the bit, missed with one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.experiment import (
    NEWEST,
    Experiment,
    MeshInput,
    default_config,
    read_file,
    read_newest,
    read_prior,
    resumed,
    run,
)
from tbsd_pack.tbsd_core.experiment.config import ImageInput
from tbsd_pack.tbsd_core.media import write_png
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.sample_images import sample_image
from tbsd_pack.tbsd_core.scenes import ImageScene
from tbsd_pack.tbsd_core.study.side_by_side import run_side_by_side

WANTED, WAS = "a wooden house", "a brick house"


@pytest.fixture(scope="module")
def prior():
    torch.set_num_threads(1)
    return load_prior("learned")


def edit(method: str = "dds", n_steps: int = 4, seed: int = 0, size: int = 16):
    config = default_config(WANTED, "image", method, n_steps=n_steps, size=size, seed=seed)
    config = replace(config, image=ImageInput(file="sample:brick house"))
    return replace(config, prompt=replace(config.prompt, source=WAS))


def painting():
    mesh = MeshInput(file="sample:brick cube", keep_colors=True)
    config = default_config("a wooden cube", "mesh_texture", "tbsd_edit", n_steps=4, size=16, mesh=mesh)
    config = replace(config, scene=replace(config.scene, resolutions=(9, 17)))
    config = replace(config, prompt=replace(config.prompt, source="a brick cube"))
    return replace(config, optim=replace(config.optim, views_per_step=2))


def stopped(config, prior, out, after: int) -> None:
    def stop(record) -> None:
        if record.step + 1 == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, out, on_step=stop, in_full=False, prior=prior)


@pytest.mark.parametrize("made", [edit, painting], ids=["picture", "mesh"])
def test_a_run_that_is_taken_up_ends_where_the_whole_one_does(made, prior, tmp_path):
    config = made()
    whole = Experiment(config, prior)
    start = {k: v.clone() for k, v in whole.source.state_dict().items()}
    for _ in whole.steps():
        pass
    stopped(config, prior, tmp_path, 2)
    stored = read_newest(tmp_path)
    kept = {k for k in stored.run.tensors if k.startswith("source.")}
    assert kept and "source.vertices" not in kept, "what scene and source share is in the file once"
    again, changed = resumed(stored, config, prior)
    assert not changed and all(torch.equal(v, start[k]) for k, v in again.source.state_dict().items())
    assert not any(p.requires_grad for p in again.source.parameters())
    for _ in again.steps():
        pass
    for name, value in whole.scene.state_dict().items():
        assert torch.equal(value, again.scene.state_dict()[name]), name


def test_another_source_is_kept_as_well(prior, tmp_path):
    config, other = edit(), ImageScene(edit().scene)
    experiment = Experiment(config, prior, source=other)
    next(experiment.steps())
    experiment.save(tmp_path / NEWEST)
    again, _ = resumed(read_file(tmp_path / NEWEST), config, prior)
    assert torch.equal(again.source.pixels, other.pixels) and not torch.equal(again.scene.pixels, other.pixels)


def test_pictures_side_by_side_are_runs_of_their_own(prior, tmp_path):
    configs = [edit(seed=seed) for seed in (0, 1)]
    folders = [tmp_path / str(seed) for seed in (0, 1)]
    run_side_by_side(configs, folders, prior)
    for config, folder in zip(configs, folders, strict=True):
        alone = Experiment(config, prior)
        for _ in alone.steps():
            pass
        stored = read_newest(folder)
        torch.testing.assert_close(stored.tensors["pixels"], alone.scene.pixels.detach(), rtol=1e-4, atol=1e-4)
        again, _ = resumed(stored, config, prior)
        assert torch.equal(again.source.pixels, alone.source.pixels)


def test_a_run_without_a_source_does_not_become_an_edit(prior, tmp_path):
    experiment = Experiment(edit("sds"), prior)
    next(experiment.steps())
    experiment.save(tmp_path / NEWEST)
    with pytest.raises(ValueError, match="This run holds no source"):
        resumed(read_file(tmp_path / NEWEST), edit("dds"), prior)


def test_the_picture_of_a_file_is_its_middle(tmp_path):
    picture = torch.ones(3, 20, 40)
    picture[:, :, 10:30] = sample_image("brick house", 20)
    write_png(picture, tmp_path / "wide.png")
    config = replace(edit(size=20), image=ImageInput(file=str(tmp_path / "wide.png")))
    experiment = Experiment(config, read_prior(config))
    with torch.no_grad():
        shown = torch.sigmoid(4 * experiment.scene.pixels)[0]
    assert float((shown - picture[:, :, 10:30]).abs().max()) < 0.01


OPTIONS = ["--prompt", WANTED, "--source-prompt", WAS, "--steps", "1", "--size", "16"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scene", "image", "--method", "dds"], "DDS edits an existing scene, but this run starts from nothing"),
        (["--method", "dds", "--image", "sample:brick house"], "add --scene image"),
        (["--scene", "image", "--method", "dds", "--image", "there is none.png"], "There is no picture"),
        (["--scene", "image", "--method", "dds", "--image", "sample:house"], "one object and one material"),
        (["--scene", "image", "--method", "dvrf", "--image", "sample:brick house"], "DVRF is for flow models"),
        (["--scene", "image", "--method", "dds", "--source-prompt", WANTED], "there is nothing to change"),
        (["--scene", "mesh_texture", "--method", "dds", "--mesh", "sample:cube"], "neither a texture nor vertex"),
        (
            ["--scene", "mesh_texture", "--method", "dds", "--mesh", "sample:brick cube", "--task", "restyle"],
            "a restyled mesh begins in grey",
        ),
        (["--stages", "--method", "dds", "--steps", "20"], "leave out --source-prompt"),
    ],
)
def test_what_is_missing_is_one_sentence(words, said, tmp_path, capsys):
    assert main(["run", *OPTIONS, *words, "--out", str(tmp_path)]) != 0
    assert said in capsys.readouterr().err
