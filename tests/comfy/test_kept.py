"""Files of a run in the output folder, in case that it, or the graph that it is in, does not reach its end."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
FILES = ["about.json", "checkpoint.previous.safetensors", "checkpoint.safetensors", "prompt.json"]


@pytest.fixture(scope="module")
def report(comfyui, tmp_path_factory) -> dict:
    return comfyui.run_script(INSIDE / "kept.py", tmp_path_factory.mktemp("kept"))


def test_a_run_keeps_its_newest_state_and_the_one_before_it(report):
    assert report["while it runs"] == FILES
    assert report["is held"] and report["offered while it runs"] == [] and not report["removed while it runs"]


def test_a_run_that_fails_can_be_continued(report):
    nodes = {"7:3": "TBSD_OptimizeImage", "1": "TBSD_ImageScene"}
    assert report["failed"] == ["failed", "failed", 2, 9, "a brick house", nodes]
    assert report["loaded"] == [2, True]
    assert report["torn"] == 1, "a state that is damaged: the one before it"


def test_a_run_whose_process_died_can_be_continued_until_another_one_does(report):
    assert report["died"] == [[True, "crashed"]]
    assert report["continued, nothing saved yet"] and not report["continued"]
    assert report["without a state"] is False


def test_a_result_is_kept_until_its_graph_has_ended(report):
    assert report["done without a graph"], "no server said that the graph has ended"


def test_what_is_kept_is_bounded_and_what_goes_on_stays(report):
    assert report["what a later run has continued"] == [False, True], "alone it would be offered again"
    assert report["beyond the number"] == [3, 2, True, True], "the run of this process, and the one read last"
    assert report["beyond the size"] == [True] and report["another server's new folder"]
    assert report["settings that are none"] == [20, 8 * 2**30]
    assert report["settings of two"] == [50, 8 * 2**30]


def test_folders_that_say_anything_else_are_no_runs(report):
    assert report["hostile"] == [True] * 6


def test_the_picker_tells_files_of_one_name_apart(report):
    assert report["listed"] == {f"tbsd/twice.safetensors [{root}]": root for root in ("output", "input")}


def test_an_output_folder_that_cannot_be_written_is_told_at_once(report):
    is_none, warning = report["no room"]
    assert is_none and "This run cannot be saved" in warning and "/dev/null/none" in warning


def test_values_that_are_no_numbers_are_told(report):
    assert "not finite numbers (in pixels)" in report["nan"] and "lower lr" in report["nan"]


def test_the_remaining_time_is_that_of_the_steps_that_are_left(report):
    assert 0.3 < report["remaining"] < 2, "seven steps of 50 ms, however many were done before"


def test_previews_that_take_long_are_fewer(report):
    """A tenth of the time is theirs; the first one, which also prepares, does not count."""
    assert report["previews"] == [0.0, True, 0, 1]
