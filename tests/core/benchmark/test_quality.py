from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.benchmark.configurations import CONFIGURATIONS, DIMENSIONS, REFERENCE, SPLITS
from tbsd_pack.tbsd_core.benchmark.quality import QualityConfig, evaluate_dimension, is_wrong, markdown, plan
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.experiment import config_from_plain, default_config
from tbsd_pack.tbsd_core.priors.small_world.captions import parse_object
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.study import Row, table_row

ROOT = Path(__file__).resolve().parents[3]


def test_splits_share_every_word_and_no_prompt():
    pairs = {name: [parse_object(p) for p in prompts] for name, prompts in SPLITS.items()}
    assert not set(pairs["tuning"]) & set(pairs["heldout"])
    for found in pairs.values():
        assert {s for s, _ in found} == set(SHAPES) and {m for _, m in found} == set(MATERIALS)
        assert len(found) == len(set(found)) >= DIMENSIONS["2d"].n_prompts
        assert len({m for _, m in found[: DIMENSIONS["3d"].n_prompts]}) == 6 or found is pairs["tuning"]
    assert {("house", "brick"), ("torus", "wooden"), ("mushroom", "dotted")} <= set(pairs["tuning"])


def test_the_amount_is_what_the_tables_promise():
    two, three = DIMENSIONS["2d"], DIMENSIONS["3d"]
    assert two.n_prompts >= 8 and len(two.seeds) >= 4 and len(two.timestep_streams) >= 2
    assert three.n_prompts >= 6 and len(three.seeds) >= 2


def test_each_configuration_is_the_preset_of_its_method_with_what_the_tables_say():
    jobs = plan(QualityConfig(), "2d")[: 8 * len(CONFIGURATIONS)]
    assert {j.label for j in jobs} == set(CONFIGURATIONS)
    of = {j.label: config_from_plain(j.config) for j in jobs}
    tbsd = of[REFERENCE]
    for label, config in of.items():
        own = default_config(config.prompt.prompt, "latent", CONFIGURATIONS[label].method, n_steps=250)
        shared = dict(latent_until=0.0, seed=config.optim.seed, timestep_seed=config.optim.timestep_seed)
        assert config.optim == replace(own.optim, **shared), label
        assert (config.scene, config.cameras) == (tbsd.scene, tbsd.cameras), label
        given = {name.removeprefix("guidance.") for name in CONFIGURATIONS[label].settings}
        for name, value in vars(own.guidance).items():
            assert name in given or getattr(config.guidance, name) == value, (label, name)
    scale = tbsd.guidance.guidance_scale
    assert of["SDS s"].guidance == of["SDS s, praise"].guidance and of["SDS s"].guidance.guidance_scale == scale
    assert of["SDS 100"].guidance.guidance_scale == 100
    assert of["SDS s"].prompt.target_modifier == "" != of["SDS s, praise"].prompt.target_modifier
    assert of["SDS s, praise"].prompt == tbsd.prompt
    assert (of["GNP"].guidance.switch, of["GNP"].guidance.negative) == (0.0, "negative")
    assert (of["TNP"].guidance.switch, of["TNP"].guidance.negative) == (0.0, "target_negative")
    assert of["Bridge-TNP"].guidance.switch == 0.5 and of["TBSD mgda"].guidance.balancer == "mgda"
    seeds = {j.seeds for j in jobs}
    assert len(seeds) == 8 and len({s for s, _ in seeds}) == 4, "four starts, two streams of timesteps each"


def test_3d_holds_the_method_and_its_fair_controls():
    labels = {job.label for job in plan(QualityConfig(), "3d")}
    assert labels == {"SDS 100", "SDS s, praise", "TNP", "TBSD"}


def result(label: str, prompt: str, seed: int, **metrics: float) -> Row:
    return table_row(label, prompt, (seed, seed), steps=250, evaluations=500, seconds=1.0, metrics=metrics)


def test_the_report_counts_wrong_objects_and_pairs_runs():
    results = []
    for i, prompt in enumerate(("a brick house", "a marble cube", "a wooden cone")):
        for seed in (0, 1):
            base = dict(identity_shape=0.9, identity_material=0.8, saturation_ratio=1.2, patch_distance=0.1 * i)
            results.append(result("TBSD", prompt, seed, **base))
            worse = base | dict(patch_distance=0.1 * i + 0.05, saturation_ratio=0.7)
            results.append(result("SDS", prompt, seed, **worse | {"identity_material": 0.9 if i else 0.2}))
    part = evaluate_dimension(results)
    assert part["wrong_identity"] == {"TBSD": {"wrong": 0, "of": 6}, "SDS": {"wrong": 2, "of": 6}}
    found = part["difference_to_reference"]["SDS"]
    assert found["patch_distance"]["mean"] == pytest.approx(0.05) == found["patch_distance"]["low"]
    assert found["saturation_error"]["mean"] == pytest.approx(0.3 - 0.2)
    assert part["summary"]["SDS"]["numbers"]["patch_distance"]["mean"] == pytest.approx(0.15)
    report = dict(split="heldout", prior="learned", quick=False, reference="TBSD", interval="95%")
    text = markdown(report | {"dimensions": {"2d": part}})
    assert "| SDS | 6/6 | 2/6 |" in text and "**+0.050 [+0.050, +0.050]**" in text


@pytest.mark.parametrize(
    "metrics, wrong",
    [((0.6, 0.6), False), ((0.4, 0.9), True), ((0.9, 0.4), True), ((None, 0.9), True)],
)
def test_wrong_is_another_object_or_another_material(metrics, wrong):
    assert is_wrong(dict(zip(("identity_shape", "identity_material"), metrics, strict=True))) == wrong


def test_bad_arguments_are_one_sentence(tmp_path, capsys):
    base = ["benchmark", "quality", "--json", str(tmp_path / "q.json")]
    assert main([*base, "--split", "train"]) == 2
    assert "tuning, heldout" in capsys.readouterr().err
    assert main([*base, "--only", "4d"]) == 2
    assert main([*base, "--workers", "0"]) == 2


def command(tmp_path: Path, *more: str) -> list[str]:
    arguments = ["benchmark", "quality", "--quick", "--only", "2d", "--steps", "2"]
    return [sys.executable, "-m", "tbsd_core", *arguments, "--json", str(tmp_path / "q.json"), *more]


def test_two_workers_write_the_report_and_a_second_call_runs_nothing(tmp_path):
    out = tmp_path / "runs"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    chosen = ["--methods", REFERENCE, "SDS s", "--out", str(out)]
    done = subprocess.run(command(tmp_path, *chosen), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "q.json").read_text())
    cells = report["dimensions"]["2d"]["cells"]
    assert len(cells) == 2 * 2 and {c["status"] for c in cells} == {"finished"}
    assert set(report["dimensions"]["2d"]["difference_to_reference"]) == {"SDS s"}
    assert "Quick run" in (tmp_path / "q.md").read_text() and report["workers"] == 2
    times = {p: p.stat().st_mtime_ns for p in out.rglob("run.json")}
    assert len(times) == len(cells)
    assert main([*command(tmp_path, *chosen, "--workers", "1")[3:]]) == 0
    assert times == {p: p.stat().st_mtime_ns for p in out.rglob("run.json")}
    again = json.loads((tmp_path / "q.json").read_text())
    assert again["dimensions"] == report["dimensions"]


def members(group: int) -> int:
    """Processes of a process group."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid="], capture_output=True, text=True, check=True).stdout
    return listed.split().count(str(group))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_ends_the_workers(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, "--out", str(tmp_path / "runs"), "--steps", "100000"),
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
        # a shell starts what runs in the background with SIGINT ignored, and these tests would pass that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while members(process.pid) < 4 and process.poll() is None:  # itself, two workers and multiprocessing's tracker
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal reaches all of them
    assert process.wait(120) == 130
    end = time.monotonic() + 30  # the tracker follows automatically
    while members(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert members(process.pid) == 0
    assert not list((tmp_path / "runs").rglob("run.json"))


def test_a_part_of_the_tables_is_planned_when_it_is_asked_for():
    prompts = SPLITS["heldout"][1:3]
    jobs = plan(QualityConfig(methods=("TBSD", "SDS s"), prompts=prompts, seeds=(5,), prior="multiview"), "3d")
    assert [(j.label, j.prompt) for j in jobs] == [(m, p) for p in prompts for m in ("SDS s", "TBSD")]
    assert all(config_from_plain(j.config).prior == "multiview" for j in jobs)
    with pytest.raises(ValueError, match="methods must be of SDS 100.*got"):
        QualityConfig(methods=("tbsd",))
    with pytest.raises(ValueError, match="prompts must be of a wooden house"):
        QualityConfig(prompts=("a house",))
