"""The pretend device does what CUDA does, as far as it is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ITSELF = Path(__file__).parent / "inside" / "itself.py"


@pytest.fixture(scope="module")
def report() -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(ITSELF)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_its_name_has_an_index_and_is_not_the_cpu(report):
    assert report["names"] == ["pretend:0", False, False]


def test_what_cuda_refuses_is_refused(report):
    assert {name for name, error in report["refused"].items() if not error} == set()
    assert report["recorded"] == 1, "or noted, where that is asked for"


def test_what_cuda_lets_pass_stays_on_the_device(report):
    assert set(report["allowed"].values()) == {"pretend:0"} and report["written"]


def test_waits_are_counted(report):
    assert {name: found for name, (found, _) in report["waits"].items()} == {
        name: expected for name, (_, expected) in report["waits"].items()
    }


def test_an_event_is_a_wait_only_where_the_device_has_nothing_else_to_do(report):
    assert report["events"] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("path, op", [("foreach", "_foreach_addcdiv_"), ("fused", "_fused_adam_")])
def test_a_module_trains_as_on_the_cpu(report, path, op):
    found = report[path]
    assert found["equal"] and found["stays"] and found["syncs"] == 0
    assert found["kernels"] > 50 and found["ops"][op] == 3


def test_inference_mode_makes_inference_tensors(report):
    assert report["inference"]


def test_memory_is_what_tensors_hold(report):
    assert report["held"] == [4 << 20, 0]
    assert report["out of memory"] == "OutOfMemoryError"


def test_uploads_are_counted_with_their_bytes(report):
    assert report["uploads"] == [1, 60]
