"""The command as users run it: on processes of this machine, on a local Ray cluster, and with workers that are killed.

Ray is not among the requirements of the tests: give the Python of an environment that has it as TBSD_RAY_PYTHON.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from tbsd_pack.tbsd_core.cli import main

ROOT = Path(__file__).resolve().parents[3]
TINY = ["--scene", "latent", "--prior", "learned", "--size", 32]
PROMPTS = ["brick", "marble", "wooden", "dotted"]  # name no object: nothing is measured against truth, which takes long
PYTHON = os.environ.get("TBSD_RAY_PYTHON", sys.executable)


def prompts(folder: Path, *lines: dict) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def sweep(*arguments: object, python: str = sys.executable) -> subprocess.Popen:
    command = [python, "-m", "tbsd_core", "sweep", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def results(out: Path) -> dict[str, dict]:
    """The scene of every cell, by its folder."""
    found = {}
    for path in sorted(out.rglob("run.json")):
        tensors = load_file(path.parent / "checkpoint.safetensors")
        found[str(path.parent.relative_to(out))] = {k: v.tobytes() for k, v in tensors.items()}
    return found


def below(pid: int, title: str) -> list[int]:
    """Processes that descend from one and whose command line begins with a title."""
    parents, titles = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue

    def descends(child: int) -> bool:
        while child in parents:
            child = parents[child]
            if child == pid:
                return True
        return False

    return [p for p, text in titles.items() if title in text and descends(p)]


def kill_midway(process: subprocess.Popen, title: str, after: int) -> str:
    """Kill one worker once `after` cells are finished; what was printed until then."""
    seen = ""
    assert process.stdout is not None
    for line in process.stdout:
        seen += line
        if line.startswith(f"[{after}/"):
            break
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if workers := below(process.pid, title):
            os.kill(workers[0], signal.SIGKILL)
            return seen
        time.sleep(0.02)
    raise AssertionError(f"no process named {title!r}; it printed\n{seen}")


def test_each_cell_is_what_run_makes_and_lines_have_settings_of_their_own(tmp_path, capsys):
    path = prompts(tmp_path, {"prompt": "brick"}, {"prompt": "brick", "name": "slow", "optim.lr": 0.001})
    arguments = [path, "--methods", "sds", *TINY, "--steps", 3, "--out", tmp_path / "out", "--workers", 1]
    code, output = ended(sweep(*arguments))
    assert code == 0, output
    assert "[1/2] sds on 'brick', seed 0: finished in" in output and "2 of 2 cells" in output
    run = ["run", "--prompt", "brick", "--method", "sds", *TINY, "--steps", 3, "--out", tmp_path / "run"]
    assert main([str(a) for a in run]) == 0
    alone = {p.name: p for p in (tmp_path / "run").iterdir()}
    cells = {p.parent for p in (tmp_path / "out").rglob("run.json")}
    assert len(cells) == 2 and all({p.name for p in cell.iterdir()} == set(alone) for cell in cells)
    same = next(cell for cell in cells if "slow" not in str(cell))
    assert (same / "image.png").read_bytes() == alone["image.png"].read_bytes()
    stored = [json.loads(p.read_text()) for p in (same / "run.json", alone["run.json"])]
    assert stored[0]["config"] == stored[1]["config"]
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [(r["method"], r["steps"], r["evaluations"]) for r in rows] == [("sds", "3", "6"), ("sds, slow", "3", "6")]
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000
    capsys.readouterr()
    assert main(["sweep", *map(str, arguments)]) == 0
    assert capsys.readouterr().out.count("already finished") == 2
    assert main(["sweep", *map(str, arguments), "--set", "optim.lr=0.5"]) == 2
    assert "optim.lr was 0.03, is 0.5" in capsys.readouterr().err


def test_cells_that_fail_are_listed_and_the_others_finish(tmp_path):
    """A method that trains a LoRA cannot run on the exact prior."""
    path = prompts(tmp_path, {"prompt": "brick"})
    tiny = [*TINY, "--prior", "exact", "--steps", 1]
    arguments = [path, "--methods", "vsd", "sds", *tiny, "--out", tmp_path / "out", "--workers", 1]
    code, output = ended(sweep(*arguments))
    assert code == 1 and "vsd on 'brick', seed 0: failed (ValueError:" in output
    cells = json.loads((tmp_path / "out" / "table.json").read_text())["cells"]
    assert [c["status"] for c in cells] == ["failed", "finished"] and "trains a LoRA" in cells[0]["error"]


def test_a_killed_process_costs_one_try(tmp_path):
    path = prompts(tmp_path, *({"prompt": p} for p in PROMPTS[:2]))
    arguments = [path, "--methods", "sds", "--seeds", 0, 1, *TINY, "--steps", 30]
    process = sweep(*arguments, "--workers", 2, "--out", tmp_path / "out")
    seen = kill_midway(process, "spawn_main", 1)
    code, output = ended(process)
    assert code == 0, seen + output
    assert "its process ended with code -9; it will be tried again" in output
    assert len(results(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    "lines, extra, message",
    [
        ([{"prompt": "a brick dragon"}], [], "line 1: "),
        ([{"prompt": "brick", "optim.nothing": 1}], [], "line 1: There is no setting 'nothing'"),
        ([{"prompt": "brick"}, {"prompt": "wooden", "optim.lr": "x"}], [], "line 2: lr must be of type float"),
        ([{"prompt": "brick", "optim.seed": 1}], [], "'optim.seed' comes from the prompts, --seeds"),
        ([{"prompt": "brick"}], ["--seeds", 1, 1], "The same seed appears twice"),
        ([{"prompt": "brick"}], ["--workers", 0], "--workers must be at least 1"),
        ([{"prompt": "brick"}], ["--retries", -1], "--retries must be at least 0"),
        ([{"prompt": "brick"}], ["--methods", "magic"], "Unknown method 'magic'"),
        ([{"prompt": "brick"}], ["--device", "meta", "--ray", "local"], "Ray gives them none: add --ray-gpus 1"),
        ([{"prompt": "brick"}], ["--workflow", "w.json"], "--workflow is for --comfyui"),
    ],
    ids=str,
)
def test_bad_arguments_end_with_code_2_and_no_files(lines, extra, message, tmp_path, capsys):
    path = prompts(tmp_path, *lines)
    assert main([str(a) for a in ["sweep", path, *TINY, "--steps", 1, "--out", tmp_path / "out", *extra]]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_without_ray_the_pip_line_is_shown(tmp_path, capsys):
    try:
        import ray  # noqa: F401
    except ImportError:
        path = prompts(tmp_path, {"prompt": "brick"})
        arguments = ["sweep", path, *TINY, "--steps", 1, "--ray", "local", "--out", tmp_path / "out"]
        assert main([str(a) for a in arguments]) == 1
        assert "pip install 'ray" in capsys.readouterr().err
    else:
        pytest.skip("Ray is installed here")


def test_ray_finishes_16_cells_although_a_worker_is_killed_and_they_equal_the_serial_ones(tmp_path):
    if subprocess.run([PYTHON, "-c", "import ray"], capture_output=True).returncode:
        pytest.skip("no Ray: set TBSD_RAY_PYTHON to the Python of an environment with it (see CONTRIBUTING.md)")
    path = prompts(tmp_path, *({"prompt": p} for p in PROMPTS))
    arguments = [path, "--methods", "sds", "tbsd", "--seeds", 0, 1, *TINY, "--steps", 10]
    process = sweep(*arguments, "--ray", "local", "--workers", 2, "--out", tmp_path / "ray", python=PYTHON)
    seen = kill_midway(process, "ray::_ray_task", 5)
    code, output = ended(process)
    assert code == 0 and "16 of 16 cells" in output, seen + output
    code, output = ended(sweep(*arguments, "--workers", 1, "--out", tmp_path / "serial", python=PYTHON))
    assert code == 0, output
    by_ray, serial = results(tmp_path / "ray"), results(tmp_path / "serial")
    assert len(serial) == 16 and by_ray == serial
