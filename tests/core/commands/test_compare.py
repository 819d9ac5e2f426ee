from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.grid import MIN_PANEL


def call(*arguments: object) -> int:
    try:
        return main([str(a) for a in arguments])
    except SystemExit as error:
        return int(error.code or 0)


def compare(out: Path, *more: object) -> list[object]:
    return ["compare", "--prompts", "brick", "--scene", "latent", "--steps", 4, "--out", out, *more]


def configs(out: Path) -> dict[str, dict]:
    return {r["label"]: r["config"] for r in (json.loads(p.read_text()) for p in out.rglob("run.json"))}


def test_a_comparison_writes_grid_and_tables_and_a_second_one_only_what_is_new(tmp_path, capsys):
    arguments = ["--methods", "sds,tbsd", "strong=sds", "--set", "strong:guidance.guidance_scale=100", "--seeds", 0, 1]
    assert call(*compare(tmp_path, *arguments)) == 0
    assert {"grid.png", "table.csv", "table.json", "table.md"} <= {p.name for p in tmp_path.iterdir()}
    table = json.loads((tmp_path / "table.json").read_text())
    assert [c["evaluations"] for c in table["cells"]] == [8, 12, 8] * 2
    assert {c["steps"] for c in table["cells"]} == {4}
    found = configs(tmp_path)
    assert found["strong"]["guidance"]["guidance_scale"] == 100 != found["sds"]["guidance"]["guidance_scale"]
    assert found["strong"]["optim"] == found["tbsd"]["optim"]
    assert Image.open(tmp_path / "grid.png").width > 3 * MIN_PANEL
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("run.json")}
    capsys.readouterr()
    assert call(*compare(tmp_path, *arguments[:-1])) == 0
    assert capsys.readouterr().err.count("finished before") == 3
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("run.json")}


def test_matching_evaluations_gives_every_method_the_budget_of_the_first(tmp_path):
    assert call(*compare(tmp_path, "--methods", "sds,tbsd", "--steps", 9, "--match", "evaluations")) == 0
    cells = {c["method"]: c for c in json.loads((tmp_path / "table.json").read_text())["cells"]}
    assert (cells["sds"]["steps"], cells["sds"]["evaluations"]) == (9, 18)
    assert (cells["tbsd"]["steps"], cells["tbsd"]["evaluations"]) == (6, 18)


def test_a_failing_method_ends_with_code_1_and_all_files(tmp_path, capsys):
    arguments = ["compare", "--prompts", "brick", "--scene", "image", "--prior", "exact", "--size", 32, "--steps", 1]
    assert call(*arguments, "--methods", "vsd,sds", "--out", tmp_path) == 1
    assert "trains a LoRA" in capsys.readouterr().err
    assert "1/1" in (tmp_path / "table.md").read_text() and (tmp_path / "grid.png").is_file()


BAD = {
    "unknown method": (["--methods", "sds,magic"], "Unknown method 'magic'"),
    "label twice": (["--methods", "sds,sds"], "'sds' stands twice"),
    "seed twice": (["--methods", "sds", "--seeds", 1, 1], "The same seed stands twice"),
    "set without value": (["--methods", "sds", "--set", "optim.lr"], "LABEL:KEY=VALUE"),
    "set of nobody": (["--methods", "sds", "--set", "tbsd:guidance.anchor=1"], "no method labelled 'tbsd'"),
    "set of no setting": (["--methods", "sds", "--set", "guidance.anchor=1"], "no setting 'anchor'"),
    "set of a shared one": (["--methods", "sds", "--set", "sds:optim.lr=1"], "share everything but guidance"),
    "unknown word": (["--methods", "sds", "--prompts", "a dragon"], "'dragon'"),
    "no clip there": (["--methods", "sds", "--clip", "/no/clip"], "--allow-download"),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_one_message_and_no_files(arguments, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert call(*compare(out, *arguments)) in (1, 2)
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not out.exists()


def test_set_for_all_reaches_the_methods_that_have_it(tmp_path):
    arguments = ["--methods", "sds,csd", "--steps", 1, "--set", "guidance.guidance_scale=3", "--set", "optim.lr=0.5"]
    assert call(*compare(tmp_path, *arguments)) == 0
    found = configs(tmp_path)
    assert found["sds"]["guidance"]["guidance_scale"] == 3 and "guidance_scale" not in found["csd"]["guidance"]
    assert found["sds"]["optim"]["lr"] == found["csd"]["optim"]["lr"] == 0.5
