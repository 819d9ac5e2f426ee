"""`make gpu-check ARGS='--checkpoint FILE'` without a GPU: what a checkpoint gives, as files to attach to an issue."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
SECONDS = 400
COLUMNS = ["picture, TBSD", "picture, SDS", "NeRF, TBSD", "NeRF, SDS"]


def command(*arguments: object) -> subprocess.CompletedProcess:
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS)


def read(out: Path) -> dict:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def pipeline(folder: Path) -> Path:
    """A pipeline of a few thousand random weights."""
    path = ROOT / "tests" / "core" / "priors" / "diffusers" / "_pipelines.py"
    spec = importlib.util.spec_from_file_location("pipelines_of_the_report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.save_pipeline(folder, "sd")


def test_a_checkpoint_gives_a_sheet_curves_and_a_report(tmp_path):
    out = tmp_path / "out"
    done = command("--checkpoint", pipeline(tmp_path / "sd-turbo"), "--quick", "--out", out)
    assert done.returncode == 0 and "attach" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    found = read(out)
    assert found["checkpoint"]["name"] == "sd-turbo" and "a turbo model" in found["warnings"][0]
    assert {"torch", "device", "pack", "diffusers"} <= set(found["environment"])
    assert [run["run"] for run in found["runs"]] == 2 * COLUMNS
    for run in found["runs"]:
        assert (run["status"], run["done"], run["steps"]) == ("ok", 3, 3)
        assert run["seconds/step"] > 0 and run["peak GiB"] > 0
    for name in COLUMNS:
        assert found["plan"][name] and found["seconds of a step of full size"][name] > 0
        assert found["settings"][name]["optim"]["n_steps"] == 3 and found["settings"][name]["prior"] == "sd-turbo"
    with Image.open(out / "sheet.jpg") as sheet, Image.open(out / "curves.png") as curves:
        assert sheet.format == "JPEG" and sheet.width > 4 * 256 and sheet.height > 2 * 256 and curves.width > 1000
        assert max(hi - lo for lo, hi in sheet.crop((sheet.width - 300, 200, sheet.width, 500)).getextrema()) > 50
    assert not any(str(path) in (out / "report.json").read_text(encoding="utf-8") for path in (tmp_path, ROOT))


@pytest.mark.slow
def test_an_interrupt_keeps_what_is_done(tmp_path):
    words = [*COMMAND, "--checkpoint", "demo", "--time", "600", "--out", str(tmp_path)]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        # a test run in a shell's background would hand on that it ignores the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.startswith("a brick house, picture, TBSD: "):
            time.sleep(8)  # some of its steps
            process.send_signal(signal.SIGINT)
            break
    assert process.wait(SECONDS) == 130
    (run,) = read(tmp_path)["runs"]
    assert run["status"] == "interrupted" and 0 < run["done"] < run["steps"] == 500
    assert (tmp_path / "sheet.jpg").is_file() and (tmp_path / "curves.png").is_file()


@pytest.mark.slow
def test_time_that_is_over_is_said(tmp_path):
    done = command("--checkpoint", "demo", "--time", "0.001", "--out", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    runs = read(tmp_path)["runs"]
    assert len(runs) == 8 * 4 and {run["status"] for run in runs} == {"skipped"}
    assert {run["reason"] for run in runs} == {"the time was over"}


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    done = command("--checkpoint", tmp_path / "none.safetensors", "--quick", "--out", tmp_path / "out")
    assert done.returncode == 1 and "There is no file or folder" in done.stderr
    (tmp_path / "model.ckpt").write_bytes(b"")
    done = command("--checkpoint", tmp_path / "model.ckpt", "--quick", "--out", tmp_path / "out")
    assert done.returncode == 1 and "pickle" in done.stderr
