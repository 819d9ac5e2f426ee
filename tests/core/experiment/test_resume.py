"""Runs that are killed, continued, repeated, or end badly."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.experiment import (
    ExperimentConfig,
    config_from_plain,
    default_config,
    read_newest,
    read_prior,
    resumed,
    run,
)
from tbsd_pack.tbsd_core.experiment.experiment import changes
from tbsd_pack.tbsd_core.lock import locked

ROOT = Path(__file__).resolve().parents[3]


def small_run(n_steps: int) -> ExperimentConfig:
    return default_config("a brick house", "image", n_steps=n_steps, size=32)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run(small_run(4), out)
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_runs_go_on_and_end_as_if_nothing_had_happened():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "5", "--steps", "20"]
    command += ["--scene", "image", "--prior", "learned"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "0 corrupt states, 0 results that differ" in done.stdout


def test_the_manifest_of_a_run_repeats_it_to_the_last_bit(finished, tmp_path, capsys):
    assert main(["run", "--from", str(finished / "run.json"), "--out", str(tmp_path)]) == 0
    a, b = read_newest(finished).tensors, read_newest(tmp_path).tensors
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert "another version" not in capsys.readouterr().err
    report = json.loads((finished / "run.json").read_text())
    report["versions"]["torch"] = "1.0"
    (tmp_path / "old.json").write_text(json.dumps(report))
    assert main(["run", "--from", str(tmp_path / "old.json"), "--out", str(tmp_path)]) == 0
    assert "torch: was '1.0'" in capsys.readouterr().err


def test_a_file_that_is_no_manifest_is_one_sentence(tmp_path, capsys):
    (tmp_path / "run.json").write_text("[1]")
    assert main(["run", "--from", str(tmp_path / "run.json"), "--out", str(tmp_path / "out")]) == 2
    assert "is not the run.json of a run" in capsys.readouterr().err


def test_more_steps_go_on_from_the_end_and_changes_are_told(finished, tmp_path, capsys):
    arguments = ["run", "--resume", str(finished), "--more", "3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "optim.n_steps was 4, is 7" in capsys.readouterr().err
    assert read_newest(tmp_path).run.curves.steps == list(range(7))


def test_a_setting_of_the_scene_that_its_state_does_not_depend_on_may_change(finished):
    stored = read_newest(finished)
    config = config_from_plain(stored.run.config)
    config = replace(config, scene=replace(config.scene, init_noise=0.1))
    experiment, changed = resumed(stored, config, read_prior(config))
    assert changed == ["scene.init_noise was 0.05, is 0.1"] and experiment.scene.config.init_noise == 0.1
    assert torch.equal(experiment.scene.pixels, stored.tensors["pixels"])


def test_settings_that_came_later_are_no_change(finished):
    stored = read_newest(finished)
    config = config_from_plain(stored.run.config)
    earlier = {name: value for name, value in stored.run.config.items() if name not in ("device", "dtype", "mesh")}
    assert changes(earlier, config) == {}


def test_another_scene_is_refused_field_by_field(finished, tmp_path):
    config = config_from_plain(read_newest(finished).run.config)
    with pytest.raises(ValueError, match=r"scene\.size: was 32, is 16"):
        run(replace(config, scene=replace(config.scene, size=16)), tmp_path / "a", finished)
    with pytest.raises(ValueError, match=r"optim\.optimizer: was 'auto', is 'adam'"):
        run(replace(config, optim=replace(config.optim, optimizer="adam")), tmp_path / "b", finished)


def test_a_folder_in_use_is_refused_and_left_alone(finished, capsys):
    before = {p.name: p.read_bytes() for p in finished.iterdir()}
    with locked(finished):
        with pytest.raises(RuntimeError, match="Another run is writing"):
            run(small_run(2), finished)
    assert {p.name: p.read_bytes() for p in finished.iterdir()} == before


def test_what_ends_a_run_early_leaves_its_state(tmp_path):
    def fail(record) -> None:
        if record.step == 2:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run(small_run(6), tmp_path, on_step=fail)
    assert read_newest(tmp_path).run.step == 3


def test_a_scene_without_numbers_keeps_its_files_and_says_so(tmp_path):
    """The last step's values are spoiled from outside, as a broken driver would."""
    said: list[str] = []

    def spoil(record) -> None:
        if record.step == 3:
            frame = sys._getframe()
            while "experiment" not in frame.f_locals:
                frame = frame.f_back
            with torch.no_grad():
                frame.f_locals["experiment"].scene.pixels.fill_(float("nan"))

    report = run(small_run(4), tmp_path, on_step=spoil, on_phase=said.append)
    assert any("not finite" in text for text in said) and "not finite" in report["warnings"][-1]
    assert json.loads((tmp_path / "run.json").read_text())["metrics"] == {}
    assert read_newest(tmp_path).run.step == 4 and (tmp_path / "curves.json").is_file()
