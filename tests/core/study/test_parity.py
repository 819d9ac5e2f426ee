"""One experiment is one result, whoever runs it: bit for bit, over every method and two scenes, on one thread."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.benchmark import quality
from tbsd_pack.tbsd_core.cli import _parser, main
from tbsd_pack.tbsd_core.commands import compare, sweep
from tbsd_pack.tbsd_core.commands.options import study_configs
from tbsd_pack.tbsd_core.configuration import with_setting
from tbsd_pack.tbsd_core.experiment import NEWEST, config_from_plain, default_config, read_file, run
from tbsd_pack.tbsd_core.guidance import EDITING
from tbsd_pack.tbsd_core.guidance import METHODS as ALL
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.study import Entry, InlinePool, Job, job_folder, job_of, of_cell, read_prompts, run_jobs

SEED, SIZE = 3, 16
PROMPT = "brick"  # names no object: nothing is measured against truth, which takes most of the time
FIELD = {"scene.resolutions": "[5, 9]", "scene.n_samples": "8", "scene.occupancy_resolution": "8"}
SETTINGS = {"image": {"prompt.view_dependent": "false"}, "nerf": {"optim.views_per_step": "1", **FIELD}}
METHODS = [name for name in ALL if name not in EDITING]  # here is nothing to edit
CASES = [(scene, method) for scene in SETTINGS for method in METHODS]
Scene = dict[str, torch.Tensor]
ROOT = Path(__file__).resolve().parents[3]
POOL = """
import json, sys
from pathlib import Path
from tbsd_core.study import Job, ProcessPool, run_jobs

jobs = [Job(**job) for job in json.loads(Path(sys.argv[1]).read_text())]
reports = run_jobs(jobs, Path(sys.argv[2]), lambda: ProcessPool(1, in_full=False))
print(*(report for report in reports.values() if isinstance(report, str)), end="")
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def prior():
    return load_prior("learned")


@pytest.fixture(scope="module")
def wanted(prior, tmp_path_factory) -> dict[tuple[str, str], Scene]:
    """The result of `run` for each case."""
    out = tmp_path_factory.mktemp("run")
    for scene, method in CASES:
        run(config(scene, method), out / scene / method, in_full=False, prior=prior)
    return {(scene, method): scene_in(out / scene / method) for scene, method in CASES}


def config(scene: str, method: str):
    made = default_config(PROMPT, scene, method, n_steps=2, seed=SEED, size=SIZE)
    for name, value in SETTINGS[scene].items():
        made = with_setting(made, name, value)
    return made


def options(scene: str, out: Path) -> list[str]:
    sets = [text for name, value in SETTINGS[scene].items() for text in ("--set", f"{name}={value}")]
    return ["--scene", scene, "--seeds", str(SEED), "--steps", "2", "--size", str(SIZE), "--out", str(out), *sets]


def scene_in(folder: Path) -> Scene:
    return dict(read_file(folder / NEWEST).tensors)


def same(one: Scene, other: Scene) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_methods_differ(wanted):
    """Or the tests below would show nothing. (ESD differs from VSD in its cameras, which pictures have none of.)"""
    for case, scene in wanted.items():
        alike = {name for name, other in wanted.items() if same(scene, other)}
        assert alike == {case} or alike == {("image", "vsd"), ("image", "esd")}, case


def test_the_way_of_vary_and_over_time(wanted, prior):
    for case in CASES:
        experiment = Entry(label="", config=config(*case)).begin(prior)
        assert len(list(experiment.steps())) == 2
        assert same(experiment.scene.state_dict(), wanted[case]), case


def test_compare_alone(wanted, prior, tmp_path):
    for scene, method in CASES:
        words = ["compare", "--prompts", PROMPT, "--methods", method, *options(scene, tmp_path)]
        arguments = _parser().parse_args(words)
        (job,) = compare.plan(arguments, study_configs(arguments, PROMPT))
        run_jobs([job], tmp_path / scene, lambda: InlinePool(prior))
        assert same(scene_in(job_folder(tmp_path / scene, job)), wanted[scene, method]), (scene, method)


@pytest.mark.parametrize("scene", SETTINGS)
@pytest.mark.parametrize("methods", [list(METHODS), list(METHODS)[::-1]], ids=["in order", "in reverse"])
def test_compare_among_others(wanted, scene, methods, tmp_path):
    assert main(["compare", "--prompts", PROMPT, "--methods", *methods, *options(scene, tmp_path)]) == 0
    for method in methods:
        cell = Job(method, PROMPT, SEED, {})
        assert same(scene_in(job_folder(tmp_path, cell)), wanted[scene, method]), method


def test_sweep_and_the_quality_benchmark_in_another_process(wanted, prior, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": PROMPT}))
    jobs, where = [], {}
    for scene in SETTINGS:
        arguments = _parser().parse_args(["sweep", str(prompts), "--methods", *METHODS, *options(scene, tmp_path)])
        for job in sweep.plan(arguments, read_prompts(prompts)):
            where[len(jobs)] = (scene, job.label)
            jobs.append(Job(f"{scene} {job.label}", job.prompt, job.seed, job.config))
    found = next(j for j in quality.plan(quality.QualityConfig(quick=True, n_steps=2), "2d") if j.label == "TBSD")
    measured = job_of("quality", of_cell(config_from_plain(found.config), PROMPT, SEED))
    (tmp_path / "jobs.json").write_text(json.dumps([asdict(job) for job in (*jobs, measured)]))
    command = [sys.executable, "-c", POOL, str(tmp_path / "jobs.json"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr
    for i, case in where.items():
        assert same(scene_in(job_folder(tmp_path, jobs[i])), wanted[case]), case
    run(config_from_plain(measured.config), tmp_path / "run", in_full=False, prior=prior)
    assert same(scene_in(job_folder(tmp_path, measured)), scene_in(tmp_path / "run"))
