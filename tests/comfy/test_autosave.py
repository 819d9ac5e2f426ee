"""What a run leaves in the output folder for the case that it does not reach its end."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
NEWEST, PREVIOUS = "autosave_7_3.safetensors", "autosave_7_3.previous.safetensors"


@pytest.fixture(scope="module")
def report(comfyui, tmp_path_factory) -> dict:
    return comfyui.run_script(INSIDE / "autosave.py", tmp_path_factory.mktemp("output"))


def test_the_newest_state_and_the_one_before_it_are_kept(report):
    assert report["while it runs"] == [PREVIOUS, NEWEST] and report["steps"] == [1, 2]


def test_a_run_that_fails_leaves_its_scene(report):
    assert report["failed"] == ["failed", PREVIOUS, NEWEST, "failed_7_3_00001.safetensors"]


def test_a_run_that_ends_tidies_up(report):
    assert report["ended"] == ["done", "failed_7_3_00001.safetensors"]


def test_values_that_are_no_numbers_are_told(report):
    assert "not finite numbers (in pixels)" in report["nan"] and "lower lr" in report["nan"]


def test_a_state_that_cannot_be_saved_does_not_end_the_run(report):
    (warning,) = report["no room"]
    assert "could not be made" in warning and "The run goes on; nothing is saved yet" in warning
