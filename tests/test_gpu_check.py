"""`make gpu-check` without a GPU: its steps run at tiny sizes on the CPU, and what they find is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "benchmarks.gpu_check"]
ON_CPU = ["--device", "cpu", "--quick"]
SECONDS = 240
CASE = "demo, gaussian, 16 pixels"  # the first of two


def environment(**changes: object) -> dict[str, str]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **one_thread, **{name: str(value) for name, value in changes.items()}}


def check(out: Path, *arguments: str, **changes: object) -> tuple[subprocess.CompletedProcess, dict]:
    """The ended command and what it wrote."""
    done = subprocess.run(
        [*COMMAND, *ON_CPU, "--out", str(out), *arguments],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (out / "gpu-check.json").is_file(), done.stderr[-4000:]
    return done, json.loads((out / "gpu-check.json").read_text(encoding="utf-8"))


def test_without_a_device_it_says_so(tmp_path):
    command = [*COMMAND, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1 and "No CUDA device" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_steps_run_on_a_cpu(tmp_path):
    steps = ("agreement", "step-time", "peak-memory", "waits", "libraries")
    done, found = check(tmp_path, "--only", *steps)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert list(found["steps"]) == list(steps)
    assert {"date", "pack", "torch", "cuda", "python"} <= set(found["environment"])
    cases = {name: step["cases"] for name, step in found["steps"].items()}
    assert cases["agreement"]["gaussian tbsd"]["values"] == {"gradient float32": 0.0, "picture float32": 0.0}
    assert "CUDA" in cases["agreement"]["tests that need CUDA"]["reason"]
    times = cases["step-time"]["demo, image"]["values"]
    assert set(times) == {"forward ms", "encode ms", "render ms", "step ms", "step / floor"} and min(times.values()) > 0
    assert cases["peak-memory"][CASE]["status"] == "skipped"
    assert cases["waits"]["gaussian tbsd"]["values"]["ops"] > 1000
    assert {case["status"] for case in cases["libraries"].values()} == {"skipped"}
    text = (tmp_path / "gpu-check.md").read_text(encoding="utf-8")
    assert all(f"## {step}: " in text for step in steps) and "| gaussian tbsd | ok | 0 | 0 |" in text


def test_a_step_that_fails_is_recorded_and_the_next_one_runs(tmp_path):
    checkout = tmp_path / "ComfyUI"
    (checkout / "comfy").mkdir(parents=True)
    for name in ("main.py", "comfy/options.py"):
        (checkout / name).write_text("raise RuntimeError('this checkout is broken')\n", encoding="utf-8")
    (checkout / "comfy" / "cli_args.py").touch()
    (checkout / "comfyui_version.py").write_text('__version__ = "0.99"\n', encoding="utf-8")
    here = {"COMFYUI_PATH": checkout, "COMFYUI_PATHS": "", "COMFYUI_PYTHON": sys.executable}
    done, found = check(tmp_path / "out", "--only", "gradients", "templates", "libraries", **here)
    assert done.returncode == 1 and "Failed: gradients, templates." in done.stdout
    gradients, libraries, templates = (found["steps"][name] for name in ("gradients", "libraries", "templates"))
    failed = gradients["cases"]["normal: sd3 float32"]
    assert failed["status"] == "failed" and "code 1" in failed["error"]
    assert "this checkout is broken" in failed["traceback"][-1]
    assert gradients["cases"]["lowvram"]["status"] == "skipped"
    assert templates["status"] == "failed" and "this checkout is broken" in templates["error"]
    assert libraries["status"] == "skipped" and found["environment"]["host"] == "0.99"
    assert str(tmp_path) not in json.dumps(found) and str(ROOT) not in json.dumps(found)


@pytest.mark.slow
def test_a_run_that_is_killed_keeps_what_it_has(tmp_path):
    command = [*COMMAND, *ON_CPU, "--out", str(tmp_path), "--only", "peak-memory"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    end = time.monotonic() + SECONDS
    try:
        while CASE not in read(tmp_path / "gpu-check.json") and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    kept = json.loads(read(tmp_path / "gpu-check.json"))["steps"]["peak-memory"]
    assert kept["status"] == "running" and list(kept["cases"]) == [CASE]
    steps = check(tmp_path, "--only", "libraries")[1]["steps"]
    assert steps["peak-memory"] == kept and steps["libraries"]["status"] == "skipped"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@pytest.mark.once
def test_gradients_of_real_shapes_are_true_on_the_host(comfyui, tmp_path):
    here = {"COMFYUI_PATH": comfyui.path, "COMFYUI_PATHS": "", "COMFYUI_PYTHON": comfyui.python}
    done, found = check(tmp_path, "--only", "gradients", **here)
    cases = found["steps"]["gradients"]["cases"]
    assert done.returncode == 0, json.dumps(cases)[:4000]
    values = cases["normal: sd3 float32"]["values"]
    assert max(values[name] for name in ("latents", "encoder", "predictions", "network", "afterwards")) < 1e-5
    assert 0 < values["own check, encoder"] < 1e-3 and 0 < values["own check, network"] < 1e-3
    assert "one memory mode" in cases["dynamic"]["reason"]


def test_templates_get_their_steps():
    """A new node that makes several runs needs a line in SHARED."""
    code = "\n".join(
        [
            "import json, pathlib",
            "from benchmarks.gpu_check.templates import with_steps",
            "from tests.servers import templates",
            "read = lambda name: json.loads(pathlib.Path(f'tests/workflows/{name}.json').read_text(encoding='utf-8'))",
            "print(json.dumps([list(with_steps(read(name), False).values()) for name in templates()]))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = [
        {node["class_type"]: node["inputs"]["steps"] for node in nodes if "steps" in node["inputs"]}
        for nodes in json.loads(done.stdout)
    ]
    assert all(steps)
    for node, n_steps in (item for found in steps for item in found.items()):
        is_one_run = node.startswith("TBSD_Optimize") or node == "TBSD_RefineAsMesh"
        assert n_steps == 200 if is_one_run else 25 <= n_steps <= 50
