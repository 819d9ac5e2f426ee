"""The analyses from the command line, on the embedded prior."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.analysis.sheet import Sheet
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.commands.options import INTERRUPTED, consume, finish
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
    run = ["run", *HOUSE, *SMALL, "--scene", "image", "--out", tmp_path / "run"]
    assert call(*run) == 0
    assert call("inspect", *small, "--run", tmp_path / "run", "--out", tmp_path / "b") == 0
    norms = [written(tmp_path / name, "directions")["rows"][0]["norm"]["delta_cls"] for name in "ab"]
    assert norms[0] != norms[1]


def test_overtime_has_a_row_per_method_with_its_own_settings(tmp_path):
    methods = ["bridge,negative=negative,switch=0", "sds,guidance_scale=3"]
    assert call("overtime", *HOUSE, *SMALL, "--methods", *methods, "--at", 0.5, 1, "--out", tmp_path) == 0
    first, second = written(tmp_path, "overtime")["cases"]
    assert (first["method"], first["guidance"]["negative"], first["guidance"]["switch"]) == ("bridge", "negative", 0.0)
    assert (second["method"], second["guidance"]["guidance_scale"]) == ("sds", 3.0)
    assert set(first["pictures"]) == {"0.5", "1"}


def test_seeds_have_a_row_per_prompt(tmp_path):
    prompts = ["--prompt", "a brick house", "a marble cone"]
    assert call("seeds", *prompts, *SMALL, "--steps", 1, "--n", 2, "--seed", 5, "--out", tmp_path) == 0
    numbers = written(tmp_path, "seeds")
    assert numbers["seeds"] == [5, 6]
    assert [c["label"] for c in numbers["cases"]] == ["a brick house"] * 2 + ["a marble cone"] * 2


def test_vary_measures_against_the_truth(tmp_path, capsys):
    assert call("vary", *HOUSE, *SMALL, "--values", 0, 1, "--out", tmp_path) == 0
    first, second = written(tmp_path, "vary")["cases"]
    assert first["guidance"]["balancer"] == second["guidance"]["balancer"] == "fixed"
    assert [c["guidance"]["balance"]["shape_share"] for c in (first, second)] == [0.0, 1.0]
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


def test_path_measures_each_method_from_the_same_start(tmp_path):
    methods = ["--methods", "sds", "tbsd,balancer=mgda"]
    assert call("path", *HOUSE, *SMALL, *methods, "--every", 1, "--t", 0.5, "--noises", 1, "--out", tmp_path) == 0
    sds, tbsd = written(tmp_path, "path")["cases"]
    assert [p["step"] for p in sds["path"]] == [0, 1, 2]
    assert sds["path"][0] == tbsd["path"][0] and sds["path"][2] != tbsd["path"][2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["inspect", "--t", 2], r"t must be numbers in [0, 1]"),
        (["inspect", "--image", "nowhere.png"], "nowhere.png cannot be read"),
        (["inspect", "--prompt", ""], "prompt must say what to make"),
        (["inspect", "--run", "nowhere"], "no checkpoint in nowhere"),
        (["overtime", "--methods", "magic"], "Unknown method 'magic'"),
        (["overtime", "--methods", "bridge,negative"], "KEY=VALUE, got 'negative'"),
        (["overtime", "--methods", "sds,switch=1"], "no setting 'switch'"),
        (["overtime", "--at", 1.5], "moments must be numbers in [0, 1]"),
        (["seeds", "--n", 0], "--n must be at least 1"),
        (["vary", "--key", "guidance.shape"], "no setting 'shape'"),
        (["vary", "--key", "prior"], "--key must name a setting inside a group"),
        (["vary", "--values", 2], "shape_share must be in [0, 1]"),
        (["vary", "--set", "optim.lr"], "KEY=VALUE, got 'optim.lr'"),
        (["path", "--every", 0], "every must be at least 1"),
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
        yield argparse.Namespace(done=1, total=3, label="a")
        raise KeyboardInterrupt

    assert consume(steps(), "x") is False
    arguments = argparse.Namespace(out=tmp_path)
    sheet = Sheet(torch.rand(3, 64, 64), {"value": float("nan")})
    assert finish(lambda: sheet, ["something"], arguments, "x", complete=False) == INTERRUPTED
    assert written(tmp_path, "x") == {"value": None}
    assert finish(lambda: sheet, [], argparse.Namespace(out=tmp_path / "none"), "x", complete=False) == INTERRUPTED
    assert not (tmp_path / "none").exists() and "before there was anything" in capsys.readouterr().err
