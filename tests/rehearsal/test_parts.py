"""The parts of a step do the same on a device as on the CPU, and wait where they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = Path(__file__).parent / "inside" / "parts.py"
NOTHING = {"waits": 0, "late_waits": 0, "uploads": 0}


def printed(script: Path) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def report() -> dict:
    return printed(PARTS)


def test_copies_go_together_and_do_not_wait(report):
    found = report["transfers"]
    assert found["equal"] and found["together"] == found["one"] == NOTHING | {"uploads": 1}


def test_a_table_is_on_each_device_once_and_can_be_differentiated_through(report):
    assert report["transfers"]["table"] == [True, [0.0, 1.0, 2.0, 3.0, 4.0], True] and report["normal"]


def test_numbers_are_those_of_their_time_and_are_waited_for_once(report):
    found = report["transfers"]
    assert found["read"] == [0.0, 1.0, 2.0], "what is added to them afterwards is not in them"
    assert not found["is_here"] and found["late"] == NOTHING | {"late_waits": 1} and found["again"] == NOTHING


@pytest.mark.parametrize("optimizer, waits", [("adam", 0), ("shared", 0), ("sgd", 1)])
def test_optimisers_leave_out_bad_steps_together(report, optimizer, waits):
    """One that cannot ask the device is asked for by the host, once for both."""
    found = report[optimizer]
    assert found["steps"] == [[waits, False, False], [waits, True, True]] * 2
    assert found["equal"], "and the steps that are left out are in no moment"
    assert found["count"] == (0 if optimizer == "sgd" else 2)


def test_a_run_of_bad_steps_changes_nothing_and_ends_one_step_late(report):
    found = report["bad run"]
    assert "3 consecutive steps" in found["error"] and "now at step 5" in found["error"]
    assert found["records"] == 5 and found["unchanged"] and found["count"] == 2
    assert found["step"] == [6, 4]


def test_a_run_moves_to_the_cpu_and_back(report):
    found = report["resumed"]
    assert found["gap"] < 1e-5
    assert found["seconds"] == [["backward", "prior", "render"], True]


def test_a_lora_is_where_the_network_computes(report):
    assert report["lora"] == {"places": ["pretend:0"], "network": "cpu"}


def test_a_device_that_runs_out_of_memory_renders_fewer_views_then_pieces_of_one(report):
    assert report["out of memory"] == [[0, 1], 1, 288], "a view has 576 rays"


@pytest.mark.parametrize("scene", ["image", "latent"])
def test_the_demo_runs_on_a_device(report, scene):
    found = report["whole runs"][scene]
    assert found["gap"] < 1e-4 and found["metrics"] < 1e-4 and found["n_metrics"] > 5


def test_views_and_mesh_of_a_scene_on_a_device_are_those_on_the_cpu(report):
    device, gap = report["whole runs"]["views"]
    assert device == "cpu" and gap < 1e-5
    n_faces, gap, n_again = report["whole runs"]["mesh"]
    assert n_faces == n_again > 100 and gap < 1e-5


def test_phases_are_timed_by_events(report):
    found = report["phases"]
    assert found["names"] == ["render", "prior"] and found["positive"]
    assert found["read"] == NOTHING | {"late_waits": 1}


def test_a_device_without_float64_runs_what_others_run():
    """Apple's: those numbers are then made on the CPU."""
    found = printed(PARTS.with_name("without_double.py"))
    assert "float64" in found["refused"] and found["steps"] == {"nerf": "", "gaussian": ""}
    assert found["targets"] == 0 and max(found["shared"], found["pds"], abs(found["dot"])) < 1e-6


def test_the_source_of_an_edit_is_stored_once_its_scene_has_left_the_device(report):
    assert report["edit"] == {"kept": ["source.pixels"], "device": ["cpu"]}
