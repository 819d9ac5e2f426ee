"""Two processes that share the views of each step, against one: the command, with gloo on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tbsd_pack.tbsd_core.balancing import RULES, BalanceConfig
from tbsd_pack.tbsd_core.balancing.base import mix
from tbsd_pack.tbsd_core.experiment import default_config, make_scene
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.optim.distributed import Split, check_split
from tbsd_pack.tbsd_core.rng import PartGenerator, named_generator, rand_rows

ROOT = Path(__file__).resolve().parents[3]
# what draws per view, and no part whose gradient jumps where rounding decides (total variation has a sign in it, and
# Adam with a small eps makes rounding of empty cells into steps)
DRAWING = ["scene.background_mode=random", "optim.latent_until=0.4", "optim.views_per_step=4"]
DRAWING += ["scene.tv_weight=0", "optim.eps=1e-2"]
TINY = ["--prior", "exact", "--size", "32", "--steps", "4", "--prompt", "brick", "--scene", "nerf", "--method", "tbsd"]
SMALL = ["scene.resolutions=[8,16]", "scene.n_samples=16", "prompt.view_dependent=false"]


def run(n: int, out: Path, *arguments: str, settings: list[str] = DRAWING + SMALL) -> subprocess.CompletedProcess:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(n), "--master-port", port] if n > 1 else []
    given = [*TINY, *(part for text in settings for part in ("--set", text)), *arguments, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launch, "-m", "tbsd_core", "run", *given]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)


def scene(out: Path) -> dict[str, torch.Tensor]:
    stored = load_file(out / "checkpoint.safetensors")
    return {name: value for name, value in stored.items() if name.startswith("scene.")}


GROUP = """
import sys
from pathlib import Path
import torch
from tbsd_core.optim.distributed import process_group
with process_group("cpu") as split:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.sum().backward()
    optimizer = torch.optim.Adam([weight])
    split.average_gradients([weight])
    optimizer.step()
print([task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists threads as Linux does")
def test_no_thread_outlives_the_group(tmp_path):
    """One that does may ask for Python as Python exits, which aborts the process."""
    script = tmp_path / "group.py"
    script.write_text(GROUP)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("python") >= 2 and "gloo" not in done.stdout


def test_two_processes_make_the_scene_of_one(tmp_path):
    done = [run(n, tmp_path / str(n)) for n in (1, 2)]
    assert [d.returncode for d in done] == [0, 0], done[1].stderr[-3000:]
    one, two = scene(tmp_path / "1"), scene(tmp_path / "2")
    assert one and one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-6)
    assert done[1].stdout.count("wrote to") == 1, "rank 0 alone writes"
    found = [{p.name for p in (tmp_path / n).iterdir() if ".previous." not in p.name} for n in ("1", "2")]
    assert found[0] == found[1]  # a run above 30 seconds keeps the state before its last one, too


@pytest.mark.parametrize(
    "scene, method, views, message",
    [
        ("nerf", "tbsd", 3, "views_per_step must be a multiple of the 2 processes, got 3"),
        ("image", "tbsd", 4, "Only the views of a 3D scene can be split"),
        ("nerf", "vsd", 4, "trains a LoRA on all views"),
        ("nerf", "ism", 4, "draws noise on its way"),
    ],
)
def test_what_cannot_be_split_is_said(scene, method, views, message):
    config = default_config("brick", scene, method, n_steps=1, size=16)
    optim = replace(config.optim, views_per_step=views)
    check_split(Split(0, 1), optim, make_scene(config), build_guidance(method))
    with pytest.raises(ValueError, match=message):
        check_split(Split(0, 2), optim, make_scene(config), build_guidance(method))


def test_parts_of_a_generator_are_the_rows_of_the_whole():
    whole = rand_rows(6, 2, generator=named_generator(3, "x"))
    parts = [rand_rows(2, 2, generator=PartGenerator.of(named_generator(3, "x"), range(i, i + 1), 3)) for i in range(3)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    own = [Split(i, 3).own(whole) for i in range(3)]
    torch.testing.assert_close(torch.cat(own), whole, rtol=0, atol=0)


@pytest.mark.parametrize("name", RULES)
def test_balancers_weigh_each_sample_by_itself(name):
    """Or processes with some of the samples would weigh them in another way than one with all."""
    shape, texture = torch.randn(2, 4, 3, 8, 8, generator=named_generator(0, "balance"))
    balancer = RULES[name](BalanceConfig())
    whole = mix(balancer, shape, texture, 0.5).grad
    halves = [mix(balancer, shape[i : i + 2], texture[i : i + 2], 0.5).grad for i in (0, 2)]
    torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-5, atol=1e-6)
