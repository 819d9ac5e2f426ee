"""`sweep --comfyui` against real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.experiment import Experiment, default_config, evaluate, read_prior
from tbsd_pack.tbsd_core.guidance import EDITING
from tbsd_pack.tbsd_core.study.comfyui import ComfyUIServer
from tbsd_pack.tbsd_core.study.workflow import DEFAULT, METHOD_NODES, read_workflow, with_method

pytestmark = pytest.mark.once  # long, and the versions do not differ in it
ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--set", "6.steps=40"]
PAINTING = [name for name in METHOD_NODES if name not in EDITING]  # here is nothing to edit
FEW = ["sds", "tbsd", "vsd"]  # test_parity.py has every method on a server


def command(tmp_path: Path, urls: list[str], *arguments: object) -> list[str]:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a brick house"}\n{"prompt": "a wooden cone", "6.steps": 41}\n')
    given = ["sweep", path, "--comfyui", *urls, "--out", tmp_path / "out", *SMALL, *arguments]
    return [str(a) for a in given]


def reports(tmp_path: Path) -> list[dict]:
    found = sorted((tmp_path / "out").rglob("run.json"))
    assert all(any(path.parent.glob("*.png")) for path in found)
    return [json.loads(path.read_text()) for path in found]


def test_two_servers_share_a_sweep_and_one_finishes_it_when_the_other_stops(server, comfyui, start_server, tmp_path):
    a = server
    with ExitStack() as second:
        b = second.enter_context(start_server(comfyui, tmp_path / "b"))
        line = [sys.executable, "-m", "tbsd_core", *command(tmp_path, [a.url, b.url], "--seeds", 0, 1, 2)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            line, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output = ""
        for text in process.stdout:
            output += text
            if any(report["server"] == b.url for report in reports(tmp_path)):
                second.close()
        assert process.wait(60) == 0, output
    assert "6 of 6 cells" in output and f"{b.url} does not answer" in output, output
    assert f"{b.url} is gone; it will be tried again" in output, output
    made = reports(tmp_path)
    assert len(made) == 6 and {report["server"] for report in made} == {a.url, b.url}
    steps = {
        node["inputs"]["steps"] for r in made for node in r["config"]["workflow"].values() if "steps" in node["inputs"]
    }
    assert steps == {40, 41}, "a line has settings of its own"


def test_methods_take_the_place_of_the_guidance_node_and_finished_cells_are_skipped(server, tmp_path, capsys):
    arguments = command(tmp_path, [server.url], "--methods", "sds", "tbsd")
    arguments[arguments.index("6.steps=40")] = "6.steps=2"
    assert main(arguments) == 0
    made = reports(tmp_path)
    kinds = [report["config"]["workflow"]["4"]["class_type"] for report in made]
    assert sorted(kinds) == ["TBSD_Guidance"] * 2 + ["TBSD_SDSGuidance"] * 2
    settings = [report["config"]["workflow"]["8"]["inputs"]["method"] for report in made]
    assert sorted(settings) == ["sds"] * 2 + ["tbsd"] * 2
    assert (tmp_path / "out" / "sheet.png").is_file() and (tmp_path / "out" / "table.md").is_file()
    capsys.readouterr()
    assert main(arguments) == 0 and capsys.readouterr().out.count("already finished") == 4
    assert main([*arguments, "--set", "5.size=32"]) == 2
    said = capsys.readouterr().err
    assert "config.workflow" not in said and "workflow.5.inputs.size was 64, is 32" in said


@pytest.mark.parametrize("method", METHOD_NODES)
def test_every_method_makes_a_workflow_that_the_server_takes(server, method):
    client = ComfyUIServer(server.url)
    workflow = with_method(read_workflow(DEFAULT), method, client.describe)
    workflow["6"]["inputs"]["steps"] = 1
    client.cancel(client.queue(workflow))  # refused where it does not validate


def pictures(methods: list[str]) -> dict[str, np.ndarray]:
    """The command line's experiment of each method, with 8 bits."""
    prior, found = read_prior(default_config("a brick house", "latent")), {}
    for method in methods:
        experiment = Experiment(default_config("a brick house", "latent", method, n_steps=3, size=32), prior)
        for _ in experiment.steps():
            pass
        (picture,) = evaluate(experiment.config, experiment.scene, prior)[1]
        found[method] = picture.permute(1, 2, 0).mul(255).round().numpy()
    return found


@pytest.mark.parametrize("methods", [FEW, pytest.param(PAINTING, marks=pytest.mark.slow)], ids=["few", "all"])
def test_a_cell_is_what_the_command_line_runs(server, methods, tmp_path):
    """Methods that begin with noise, with their own settings."""
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a brick house"}\n')
    small = ["--set", "6.steps=3", "--set", "5.size=32"]
    line = ["sweep", path, "--comfyui", server.url, "--out", tmp_path / "out", "--methods", *methods, *small]
    assert main([str(a) for a in line]) == 0
    for method, expected in pictures(methods).items():
        (found,) = (tmp_path / "out" / method).rglob("image_*.png")
        away = np.abs(np.asarray(Image.open(found)) - expected)
        assert away.max() <= 1, (method, away.max())


def test_what_a_server_cannot_run_is_listed_with_its_reason(server, tmp_path, capsys):
    assert main(command(tmp_path, [server.url], "--set", "6.lr=-1")) == 1
    assert "failed (" in (said := capsys.readouterr().out) and "TBSD_OptimizeImage: Value -1.0 smaller than min" in said


def test_no_server_is_an_error(tmp_path, capsys):
    assert main(command(tmp_path, ["http://127.0.0.1:9"], "--methods", "sds")) == 1
    assert "No ComfyUI server answers" in capsys.readouterr().err
    assert main(command(tmp_path, ["127.0.0.1:8188"])) == 2
    assert "http://HOST:PORT" in capsys.readouterr().err
