from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.experiment import (
    NEWEST,
    config_from_plain,
    default_config,
    evaluations_per_view,
    plain_config,
    read_file,
)
from tbsd_pack.tbsd_core.grid import MIN_PANEL

SMALL = ["--size", 32]


def call(*arguments: object) -> int:
    try:
        return main([str(a) for a in arguments])
    except SystemExit as error:
        return int(error.code or 0)


def compare(out: Path, *more: object) -> list[object]:
    return ["compare", "--prompts", "brick", "--scene", "latent", "--steps", 4, "--out", out, *more]


def configs(out: Path) -> dict[str, dict]:
    """By label, the name of the outermost folder."""
    return {p.relative_to(out).parts[0]: json.loads(p.read_text())["config"] for p in out.rglob("run.json")}


def scenes(out: Path) -> dict[str, bytes]:
    """The tensors of every cell's scene, by label."""
    files = {p.relative_to(out).parts[0]: read_file(p) for p in out.rglob(NEWEST)}
    return {k: b"".join(t.numpy().tobytes() for t in file.tensors.values()) for k, file in files.items()}


def table(out: Path) -> dict[str, dict]:
    return {c["method"]: c for c in json.loads((out / "table.json").read_text())["cells"]}


def test_a_comparison_writes_grid_and_tables_and_a_second_one_only_what_is_new(tmp_path, capsys):
    arguments = ["--methods", "sds,tbsd", "strong=sds", "--set", "strong:guidance.guidance_scale=100", "--seeds", 0, 1]
    assert call(*compare(tmp_path, *arguments)) == 0
    assert {"grid.png", "table.csv", "table.json", "table.md"} <= {p.name for p in tmp_path.iterdir()}
    cells = json.loads((tmp_path / "table.json").read_text())["cells"]
    assert [c["evaluations"] for c in cells] == [8, 12, 8] * 2 and {c["steps"] for c in cells} == {4}
    found = configs(tmp_path)
    assert found["strong"]["guidance"]["guidance_scale"] == 100 != found["sds"]["guidance"]["guidance_scale"]
    assert found["tbsd"] == plain_config(default_config("brick", "latent", "tbsd", n_steps=4, seed=1))
    assert Image.open(tmp_path / "grid.png").width > 3 * MIN_PANEL
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("run.json")}
    capsys.readouterr()
    assert call(*compare(tmp_path, *arguments[:-1])) == 0
    assert capsys.readouterr().err.count("already finished") == 3
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("run.json")}
    assert call(*compare(tmp_path, *arguments, "--set", "optim.lr=0.5")) == 2, "a result is never replaced"
    said = capsys.readouterr().err
    assert "holds a finished cell with other settings: optim.lr" in said and "another --out" in said
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("run.json")}


def test_matching_evaluations_gives_every_method_the_budget_of_the_first(tmp_path):
    """Those on the way of a trajectory count: SDI inverts the noise in each step, ISM walks to it."""
    more = ["--steps", 40, "--match", "evaluations", *SMALL]
    assert call(*compare(tmp_path, "--methods", "sds,tbsd", "sdi", "ism", *more)) == 0
    cells = table(tmp_path)
    assert (cells["sds"]["steps"], cells["sds"]["evaluations"]) == (40, 80)
    assert (cells["tbsd"]["steps"], cells["tbsd"]["evaluations"]) == (26, 78)
    for name, config in configs(tmp_path).items():
        assert cells[name]["evaluations"] == evaluations_per_view(config_from_plain(config)) <= 80
    assert 4 * cells["sdi"]["steps"] < 40 and 2 * cells["ism"]["steps"] < 40
    assert call(*compare(tmp_path / "steps", "--methods", "sds", "sdi", *SMALL, "--steps", 2)) == 0
    assert table(tmp_path / "steps")["sdi"]["evaluations"] > 3 * table(tmp_path / "steps")["sds"]["evaluations"]


def test_what_a_label_gives_depends_neither_on_the_others_nor_on_their_order(tmp_path):
    """SDI has timesteps of its own, HiFA others, and VSD another learning rate."""
    for name, methods in (("a", ["sds", "sdi", "hifa"]), ("b", ["hifa", "sdi", "sds"]), ("c", ["sdi"])):
        assert call(*compare(tmp_path / name, "--methods", *methods, "--steps", 2, *SMALL)) == 0
    a, b, c = (scenes(tmp_path / name) for name in "abc")
    assert a == b and a["sdi"] == c["sdi"] and len(set(a.values())) == 3
    found = configs(tmp_path / "a")
    for name, config in found.items():
        own = default_config("brick", "latent", name, n_steps=2, size=32)
        assert config == plain_config(own), name
    assert len({json.dumps(c["optim"]["timesteps"]) for c in found.values()}) == 3


def test_each_method_takes_its_own_number_of_steps_unless_all_shall_take_those_of_the_first(tmp_path):
    arguments = ["compare", "--prompts", "brick", "--methods", "sds", "csd", "--scene", "latent", *SMALL]
    arguments += ["--set", "csd:optim.n_steps=2", "--set", "sds:optim.n_steps=1", "--out"]
    assert call(*arguments, tmp_path / "own") == call(*arguments, tmp_path / "first", "--match", "steps") == 0
    assert [c["steps"] for c in table(tmp_path / "own").values()] == [1, 2]
    assert [c["steps"] for c in table(tmp_path / "first").values()] == [1, 1]


def test_perp_neg_is_not_lost(tmp_path):
    tiny = ["--scene", "nerf", "--size", 16, "--steps", 2, "--set", "optim.views_per_step=2"]
    tiny += ["--set", "optim.latent_until=0", "--set", "scene.resolutions=[9]", "--set", "scene.n_samples=8"]
    both = ["--methods", "with=sds", "without=sds", "--set", "with:prompt.perp_neg=1", "--out", tmp_path]
    assert call("compare", "--prompts", "brick", *tiny, *both) == 0
    found, cells = scenes(tmp_path), table(tmp_path)
    assert found["with"] != found["without"]
    assert cells["with"]["evaluations"] > cells["without"]["evaluations"] == 4


def test_a_given_mesh_is_painted_by_all(tmp_path):
    arguments = ["--mesh", "sample:cube", "--scene", "mesh_texture", "--size", 16, "--steps", 1]
    assert call("compare", "--prompts", "brick", "--methods", "sds,csd", *arguments, "--out", tmp_path) == 0
    found = configs(tmp_path)
    assert {c["mesh"]["file"] for c in found.values()} == {"sample:cube"} and len(found) == 2
    files = {p.name for p in next(tmp_path.rglob("run.json")).parent.iterdir()}
    assert {name for name in files if ".previous." not in name} == {"run.json", "views.png", NEWEST}  # of a slow run


def test_a_failing_method_ends_with_code_1_and_all_files(tmp_path, capsys):
    arguments = ["compare", "--prompts", "brick", "--scene", "image", "--prior", "exact", "--size", 32, "--steps", 1]
    assert call(*arguments, "--methods", "vsd,sds", "--out", tmp_path) == 1
    assert "trains a LoRA" in capsys.readouterr().err
    assert "1/1" in (tmp_path / "table.md").read_text() and (tmp_path / "grid.png").is_file()


BAD = {
    "unknown method": (["--methods", "sds,magic"], "Unknown method 'magic'"),
    "label twice": (["--methods", "sds,sds"], "'sds' appears twice"),
    "seed twice": (["--methods", "sds", "--seeds", 1, 1], "The same seed appears twice"),
    "set without value": (["--methods", "sds", "--set", "optim.lr"], "LABEL:KEY=VALUE"),
    "set of nobody": (["--methods", "sds", "--set", "tbsd:guidance.anchor=1"], "no method labelled 'tbsd'"),
    "set of no setting": (["--methods", "sds", "--set", "guidance.anchor=1"], "no setting 'anchor'"),
    "set of a seed": (["--methods", "sds", "--set", "sds:optim.seed=1"], "'optim.seed' comes from"),
    "mesh of no scene": (["--methods", "sds", "--mesh", "sample:house"], "--mesh and --scene mesh_texture"),
    "unknown match": (["--methods", "sds", "--match", "seconds"], "invalid choice: 'seconds'"),
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
