"""The analyses from the command line, on the demo model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tbsd_pack.tbsd_core.analysis.pictures import watch_pictures
from tbsd_pack.tbsd_core.analysis.sheet import Sheet
from tbsd_pack.tbsd_core.cli import _parser, main
from tbsd_pack.tbsd_core.commands import seeds, vary
from tbsd_pack.tbsd_core.commands.inspect import _read_image
from tbsd_pack.tbsd_core.commands.options import method_entries
from tbsd_pack.tbsd_core.commands.series import INTERRUPTED, consume, finish
from tbsd_pack.tbsd_core.configuration import with_setting
from tbsd_pack.tbsd_core.experiment import default_config, load_scene, read_prior, run
from tbsd_pack.tbsd_core.media import write_png

SMALL = ["--size", 32, "--steps", 2]
HOUSE = ["--prompt", "a brick house"]


def call(*arguments: object) -> int:
    try:
        return main([str(a) for a in arguments])
    except SystemExit as error:
        return int(error.code or 0)


def written(out: Path, name: str) -> dict:
    """The numbers of a sheet, whose picture is there, too, and nothing else."""
    assert {p.name for p in out.iterdir()} == {f"{name}.png", f"{name}.json"}
    assert (out / f"{name}.png").stat().st_size > 1000
    return json.loads((out / f"{name}.json").read_text(encoding="utf-8"))


def test_inspect_makes_a_picture_and_decodes_its_directions(tmp_path):
    assert call("inspect", *HOUSE, *SMALL, "--out", tmp_path, "--t", 0.5, "--noises", 1) == 0
    (row,) = written(tmp_path, "directions")["rows"]
    assert list(row["norm"]) == ["delta_cls", "delta_post_gnp", "delta_post_tnp", "delta_bridge", "tbsd"]
    assert row["timestep"] == round(0.5 * 999) and all(v > 0 for v in row["norm"].values())


def test_inspect_looks_at_a_picture_file_and_at_a_stored_run(tmp_path):
    write_png(torch.rand(3, 40, 50), tmp_path / "noise.png")
    small = ["--size", 32, "--t", 0.5, "--noises", 1]
    assert call("inspect", *HOUSE, *small, "--image", tmp_path / "noise.png", "--out", tmp_path / "a") == 0
    run(default_config("a house", "image", n_steps=2, size=32), tmp_path / "run")
    assert call("inspect", *small, "--run", tmp_path / "run", "--out", tmp_path / "b") == 0
    file = tmp_path / "run" / "checkpoint.safetensors"
    assert call("inspect", *small, "--run", file, "--out", tmp_path / "c") == 0
    norms = [written(tmp_path / name, "directions")["rows"][0]["norm"]["delta_cls"] for name in "abc"]
    assert norms[0] != norms[1] == norms[2]


def test_a_picture_of_sixteen_bits_is_read_as_what_it_shows(tmp_path):
    middle = np.full((8, 8), 32768, np.uint16)
    Image.fromarray(middle).save(tmp_path / "grey.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert float(_read_image(tmp_path / "grey.png", 4).mean()) == pytest.approx(0.5, abs=0.01)
    assert float(_read_image(tmp_path / "clear.png", 4).mean()) == 1, "as every other picture: on white"


def test_overtime_has_a_row_per_method_with_its_own_settings(tmp_path):
    methods = ["bridge,negative=negative,switch=0", "sds,guidance_scale=3"]
    assert call("overtime", *HOUSE, *SMALL, "--methods", *methods, "--at", 0.5, 1, "--out", tmp_path) == 0
    first, second = written(tmp_path, "overtime")["cases"]
    bridge, sds = (case["config"] for case in (first, second))
    assert (bridge["guidance_name"], bridge["guidance"]["negative"]) == ("bridge", "negative")
    assert bridge["guidance"]["switch"] == 0.0
    assert (sds["guidance_name"], sds["guidance"]["guidance_scale"]) == ("sds", 3.0)
    assert set(first["pictures"]) == {"0.5", "1"}


FAILING = ["--steps", 12, "--set=optim.max_bad_steps=3"]  # with a scale that makes no finite gradient


def test_a_value_that_fails_is_marked_and_the_others_are_kept(tmp_path, capsys):
    key = ["--method", "sds", "--key", "guidance.guidance_scale", "--values", 1e39, 5]
    assert call("vary", *HOUSE, *SMALL, *FAILING, *key, "--out", tmp_path / "a") == 1
    first, second = written(tmp_path / "a", "vary")["cases"]
    assert "not finite" in first["error"] and second["value"] == "5" and second["metrics"]
    assert second["config"]["guidance"]["guidance_scale"] == 5.0
    said = capsys.readouterr()
    assert "guidance_scale 1e+39: failed (RuntimeError" in said.err and "1 of 2 failed" in said.err
    assert "1e+39  failed: RuntimeError" in said.out


@pytest.mark.parametrize("command", ["overtime", "path"])
def test_a_method_that_fails_is_marked_and_the_others_are_kept(command, tmp_path, capsys):
    methods = ["--methods", "sds,guidance_scale=1e39", "sds,guidance_scale=3"]
    assert call(command, *HOUSE, *SMALL, *FAILING, *methods, "--out", tmp_path) == 1
    first, second = written(tmp_path, command)["cases"]
    assert "not finite" in first["error"] and "error" not in second
    assert "1 of 2 failed" in capsys.readouterr().err


def test_a_series_of_which_all_fails_says_the_first_reason_and_writes_nothing(tmp_path, capsys):
    seeds = ["--n", 2, "--method", "sds", "--set=guidance.guidance_scale=1e39"]
    assert call("seeds", *HOUSE, *SMALL, *FAILING, *seeds, "--out", tmp_path / "out") == 1
    assert "not finite" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_method_that_edits_is_not_run_to_be_inspected(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tbsd_pack.tbsd_core.commands.inspect.load_prior", None)
    mesh = ["--scene", "mesh_texture", "--mesh", "sample:brick house", "--keep-colors"]
    assert call("inspect", "--prompt", "a house", *mesh, "--method", "dds", "--out", tmp_path / "out") == 2
    assert "Choose a method that does not edit" in capsys.readouterr().err
    assert call("inspect", "--prompt", "a house", "--method", "dds", "--out", tmp_path / "out") == 2
    assert "Choose a method that does not edit" in capsys.readouterr().err


def test_seeds_have_a_row_per_prompt(tmp_path):
    prompts = ["--prompt", "a brick house", "a marble cone"]
    assert call("seeds", *prompts, *SMALL, "--steps", 1, "--n", 2, "--seed", 5, "--out", tmp_path) == 0
    numbers = written(tmp_path, "seeds")
    assert numbers["seeds"] == [5, 6]
    assert [c["label"] for c in numbers["cases"]] == ["a brick house"] * 2 + ["a marble cone"] * 2


def test_vary_measures_against_the_truth(tmp_path, capsys):
    assert call("vary", *HOUSE, *SMALL, "--values", 0, 1, "--out", tmp_path) == 0
    first, second = written(tmp_path, "vary")["cases"]
    guidances = [case["config"]["guidance"] for case in (first, second)]
    assert [g["balancer"] for g in guidances] == ["fixed", "fixed"]
    assert [g["balance"]["shape_share"] for g in guidances] == [0.0, 1.0]
    assert "identity_shape" in first["metrics"] and first["metrics"] != second["metrics"]
    assert "right object" in capsys.readouterr().out


def test_vary_takes_any_setting_and_says_where_it_does_nothing(tmp_path, capsys):
    key = ["--key", "guidance.balance.shape_share", "--method", "tbsd"]
    assert call("vary", *HOUSE, *SMALL, "--key", "optim.lr", "--values", 0.01, 0.02, "--out", tmp_path / "a") == 0
    assert not written(tmp_path / "a", "vary")["identical"]
    assert call("vary", *HOUSE, *SMALL, *key, "--values", 0.5, 0.5, "--out", tmp_path / "b") == 0
    assert written(tmp_path / "b", "vary")["identical"] == [["0.5", "0.5"]]
    assert "no effect" in capsys.readouterr().out


def test_vary_reaches_the_words_of_the_prompts(tmp_path):
    key = ["--key", "prompt.negative_descriptors", "--set", "guidance.balancer=fixed"]
    assert call("vary", *HOUSE, *SMALL, *key, "--values", "blurry", "dark", "--out", tmp_path) == 0
    assert not written(tmp_path, "vary")["identical"]


NERF = {"scene.resolutions": "[5, 9]", "scene.n_samples": "12", "scene.occupancy_resolution": "8"}
SMALL_NERF = ["--scene", "nerf", "--size", 16, "--steps", 3, *(f"--set={k}={v}" for k, v in NERF.items())]


def test_vary_reaches_perp_neg(tmp_path):
    key = ["--key", "prompt.perp_neg", "--values", 0, 1]
    assert call("vary", "--prompt", "a house", *SMALL_NERF, *key, "--out", tmp_path) == 0
    numbers = written(tmp_path, "vary")
    assert not numbers["identical"]
    first, second = numbers["cases"]
    assert first["metrics"] != second["metrics"]


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """(config, scene): what `run` makes of Bridge's preset on a small NeRF with Perp-Neg and the seed 1."""
    out = tmp_path_factory.mktemp("run")
    config = default_config("a house", "nerf", "bridge", n_steps=3, size=16, seed=1)
    for key, value in {**NERF, "prompt.perp_neg": "1", "guidance.switch": "0.5"}.items():
        config = with_setting(config, key, value)

    def stop_at_the_end(record):  # its state is saved, and no mesh is made
        if record.step + 1 == record.n_steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, out, on_step=stop_at_the_end)
    return config, load_scene(out / "checkpoint.safetensors").state_dict()


@pytest.mark.parametrize(
    "entries_of, command",
    [
        (vary.entries_of, ["vary", "--method=bridge", "--seed=1", "--key=guidance.switch", "--values", "0", "0.5"]),
        (seeds.entries_of, ["seeds", "--method=bridge", "--seeds", "0", "1", "--set=guidance.switch=0.5"]),
        (method_entries, ["overtime", "--seed=1", "--methods", "sds", "bridge,switch=0.5"]),
        (method_entries, ["path", "--seed=1", "--methods", "tbsd", "bridge,switch=0.5"]),
    ],
    ids=["vary", "seeds", "overtime", "path"],
)
def test_each_experiment_is_the_one_that_run_makes(entries_of, command, a_run):
    config, expected = a_run
    others = ["--prompt", "a house", *SMALL_NERF, "--set=prompt.perp_neg=1", "--out", "nowhere"]
    entries = entries_of(_parser().parse_args([*command, *map(str, others)]))
    assert [entry.config == config for entry in entries] == [False, True]
    results = []
    for _ in watch_pictures(entries, read_prior(config), results, (0.0, 0.3, 1.0)):
        pass
    other, found = (result.experiment.scene.state_dict() for result in results)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert any(not torch.equal(other[name], value) for name, value in expected.items())


def test_a_method_brings_the_whole_of_its_preset():
    """Timesteps, learning rate and all that belongs to a method, whatever stands beside it."""
    arguments = ["--prompt", "a house", "--out", "nowhere", "--methods", "sds", "hifa", "tbsd"]
    for entry in method_entries(_parser().parse_args(["overtime", *arguments])):
        assert entry.config == default_config("a house", "image", entry.config.guidance_name)


@pytest.mark.parametrize("command", ["vary", "overtime", "seeds", "path", "inspect"])
def test_a_mesh_can_be_painted(command, tmp_path):
    mesh = tmp_path / "tetrahedron.obj"
    mesh.write_text("v 1 1 1\nv 1 -1 -1\nv -1 1 -1\nv -1 -1 1\nf 1 2 3\nf 1 4 2\nf 1 3 4\nf 2 4 3\n")
    painted = ["--scene", "mesh_texture", "--mesh", mesh, "--size", 16, "--steps", 1, "--set=scene.resolutions=[9]"]
    few = {"vary": ["--values", 0, 1], "seeds": ["--n", 1], "inspect": ["--t", 0.5, "--noises", 1]}.get(command, [])
    assert call(command, "--prompt", "a house", *painted, *few, "--out", tmp_path / "out") == 0
    assert any((tmp_path / "out").glob("*.png"))


def test_path_measures_each_method_from_the_same_start(tmp_path):
    methods = ["--methods", "sds", "tbsd,balancer=mgda"]
    assert call("path", *HOUSE, *SMALL, *methods, "--every", 1, "--t", 0.5, "--noises", 1, "--out", tmp_path) == 0
    sds, tbsd = written(tmp_path, "path")["cases"]
    assert [p["step"] for p in sds["path"]] == [0, 1, 2]
    assert sds["path"][0] == tbsd["path"][0] and sds["path"][2] != tbsd["path"][2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["inspect", "--t", 2], r"t must be in [0, 1]"),
        (["inspect", "--image", "nowhere.png"], "nowhere.png cannot be read"),
        (["inspect", "--prompt", ""], "prompt must say what to make"),
        (["inspect", "--run", "nowhere"], "no checkpoint in nowhere"),
        (["overtime", "--methods", "magic"], "Unknown method 'magic'"),
        (["overtime", "--methods", "bridge,negative"], "KEY=VALUE, got 'negative'"),
        (["overtime", "--methods", "sds,switch=1"], "no setting 'switch'"),
        (["overtime", "--at", 1.5], "moments must be one or more numbers in [0, 1]"),
        (["seeds", "--scene", "mesh_texture"], "--mesh and --scene mesh_texture belong together"),
        (["overtime", "--mesh", "sample:house"], "--mesh and --scene mesh_texture belong together"),
        (["seeds", "--n", 0], "--n must be at least 1"),
        (["vary", "--key", "guidance.shape"], "no setting 'shape'"),
        (["vary", "--key", "prior"], "--key must name a setting inside a group"),
        (["vary", "--values", 2], "shape_share must be in"),
        (["vary", "--set", "optim.lr"], "KEY=VALUE, got 'optim.lr'"),
        (["path", "--every", 0], "every must be >= 1"),
        (["path", "--prompt", "a brick dragon"], "'dragon'"),
    ],
    ids=str,
)
def test_bad_arguments_end_with_code_2_and_no_files(arguments, message, tmp_path, capsys):
    prompt = [] if "--prompt" in arguments else HOUSE
    assert call(*arguments, *prompt, *SMALL, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_an_interrupt_keeps_what_was_done(tmp_path, capsys):
    def steps():
        yield argparse.Namespace(done=1, total=3, label="a", note="")
        raise KeyboardInterrupt

    assert consume(steps(), "x") is False
    arguments = argparse.Namespace(out=tmp_path)
    sheet = Sheet(torch.rand(3, 64, 64), {"value": float("nan")})
    assert finish(lambda: sheet, True, arguments, "x", complete=False) == INTERRUPTED
    assert written(tmp_path, "x") == {"value": None}
    assert finish(lambda: sheet, False, argparse.Namespace(out=tmp_path / "none"), "x", complete=False) == INTERRUPTED
    assert not (tmp_path / "none").exists() and "before there was anything" in capsys.readouterr().err
