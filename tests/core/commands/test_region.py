"""Where a run may change a mesh, said on the command line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tbsd_pack.tbsd_core.cli import _parser, main
from tbsd_pack.tbsd_core.commands.options import run_config
from tbsd_pack.tbsd_core.experiment import (
    NEWEST,
    Experiment,
    RegionInput,
    config_from_plain,
    plain_config,
    read_newest,
    read_prior,
    resumed,
)
from tbsd_pack.tbsd_core.mesh import painted_mesh
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.scenes.kept import WEIGHT

SIDE = 64


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    """A box, each triangle with a place of its own in a noisy texture, and a mask of its upper half."""
    folder = tmp_path_factory.mktemp("crate")
    box = trimesh.creation.box((2.0, 3.0, 4.0))
    cells = np.array([[i % 4, i // 4] for i in range(12)]) / 4
    corner = np.array([[0.03, 0.03], [0.22, 0.03], [0.03, 0.22]])
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(pixels))
    visual = trimesh.visual.TextureVisuals(uv=(cells[:, None] + corner).reshape(-1, 2), material=material)
    faces = np.arange(36).reshape(12, 3)
    made = trimesh.Trimesh(box.vertices[box.faces].reshape(-1, 3), faces, visual=visual, process=False)
    made.export(folder / "crate.glb")
    for name, side in (("mask", SIDE), ("small", SIDE // 2)):
        mask = np.zeros((side, side), np.uint8)
        mask[: side // 2] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
    return folder


def arguments_of(folder, *more: object) -> list[str]:
    start = ["run", "--scene", "mesh_texture", "--mesh", folder / "crate.glb", "--prompt", "a wooden cube"]
    small = ["--method", "sds", "--steps", 3, "--size", 32, "--set", "scene.resolutions=[5,9]"]
    return [str(x) for x in (*start, *small, "--set", "optim.views_per_step=1", "--out", "x", *more)]


def test_a_mask_and_a_view_keep_the_bytes_of_the_texture(crate, tmp_path):
    kept = ["--keep-colors", "--mask", crate / "mask.png", "--keep-view", "0,15", "--task", "repair", "--border", 1]
    config = run_config(_parser().parse_args(arguments_of(crate, *kept)))
    assert config.region == RegionInput(mask=str(crate / "mask.png"), keep_views=((0.0, 15.0),), border=1.0)
    assert config_from_plain(plain_config(config)) == config
    prior = read_prior(config)
    experiment = Experiment(config, prior)
    steps = experiment.steps()
    for _ in range(2):
        next(steps)
    experiment.save(tmp_path / NEWEST)
    painted, _ = painted_mesh(experiment.scene)
    before, weight = load_mesh(crate / "crate.glb").mesh.texture, experiment.scene.attached[WEIGHT]
    locked = (weight == 0).numpy()
    assert 0.3 < locked.mean() < 1 and (before[locked] == painted.texture[locked]).all()
    assert (before[~locked] != painted.texture[~locked]).any()
    assert locked[SIDE // 2 + 8 :].all()  # below the mask

    stored = read_newest(tmp_path)
    again, changed = resumed(stored, config, prior)
    assert changed == [] and torch.equal(again.scene.attached[WEIGHT], weight)
    with pytest.raises(ValueError, match=r"another scene, region or optimiser. region.border: was 1.0, is 9.0"):
        resumed(stored, replace(config, region=replace(config.region, border=9.0)), prior)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--keep-view", "0,15"], "add --mesh and --keep-colors"),
        (["--keep-colors", "--keep-view", "front"], "needs azimuth and elevation, such as 0,15, got 'front'"),
        (["--keep-colors", "--mask", "small.png"], "The mask is 32 x 32 pixels, but the mesh's texture is 64 x 64"),
        (["--keep-colors", "--mask", "none.png"], "cannot be read"),
        (["--keep-colors", "--part", "5"], "got no part 5"),
        (["--keep-colors", "--material", "Roof"], "has one material, as far as is known"),
        (["--material", "Roof"], "add --mesh and --keep-colors"),
        (["--task", "polish"], "Unknown task 'polish'"),
        (["--task", "sharpen"], "pin_weight holds the colours of a mesh"),
    ],
)
def test_mistakes_are_one_sentence(crate, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("small.png",):
        (tmp_path / name).write_bytes((crate / name).read_bytes())
    assert main(arguments_of(crate, *arguments)) != 0
    assert message in capsys.readouterr().err
