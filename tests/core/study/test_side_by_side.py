from __future__ import annotations

import csv
import dataclasses
import json

import pytest
import torch
from tbsd_pack.tbsd_core.comparison import Cell, cell_folder, read_result, run_cells, summarize, write_tables
from tbsd_pack.tbsd_core.comparison.cells import RESULT, SCENE
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.experiment import default_config
from tbsd_pack.tbsd_core.scenes.files import load_scene

PROMPT = "brick"  # names no object: nothing is measured against truth, which takes most of the time


@pytest.fixture(scope="module")
def prior():
    return load_prior("learned")


def cell(label: str = "sds", seed: int = 0, steps: int = 2, prompt: str = PROMPT, method: str = "sds") -> Cell:
    return Cell(label, default_config(prompt, "latent", method, n_steps=steps, seed=seed))


def test_a_batch_gives_each_seed_what_it_gets_alone(prior, tmp_path):
    cells = [cell(seed=s) for s in (0, 5, 9)]
    run_cells(cells, tmp_path / "together", 8, prior=prior)
    run_cells(cells, tmp_path / "alone", 1, prior=prior)
    for c in cells:
        a, b = (load_scene(cell_folder(tmp_path / n, c) / SCENE).latents for n in ("together", "alone"))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        stored = [json.loads((cell_folder(tmp_path / n, c) / RESULT).read_text()) for n in ("together", "alone")]
        assert [s["pictures_side_by_side"] for s in stored] == [3, 1]
        assert stored[0]["config"] == stored[1]["config"]
    a, b = (load_scene(cell_folder(tmp_path / "alone", c) / SCENE).latents for c in cells[:2])
    assert not torch.allclose(a, b, atol=0.1)


def test_finished_cells_are_skipped_and_changed_ones_run_again(prior, tmp_path):
    seen = []
    run = lambda cells: run_cells(  # noqa: E731
        cells, tmp_path, on_result=lambda r, fresh: seen.append((r.cell.seeds[0], fresh)), prior=prior
    )
    first = run([cell(seed=0)])
    again = run([cell(seed=0), cell(seed=1)])
    assert seen == [(0, True), (0, False), (1, True)]
    assert again[0] == first[0]
    run([cell(seed=0, steps=3)])
    assert seen[-1] == (0, True)
    assert read_result(tmp_path, cell(seed=0, steps=2)) is None and read_result(tmp_path, cell(seed=0, steps=3))
    (cell_folder(tmp_path, cell(seed=0)) / RESULT).write_text("{")  # damaged: not finished
    assert read_result(tmp_path, cell(seed=0, steps=3)) is None


def test_a_failing_cell_is_marked_and_the_others_run(tmp_path):
    """A method that trains a LoRA cannot run on the exact prior; the method beside it can."""
    cells = [Cell(m, default_config(PROMPT, "image", m, "exact", 1, size=32)) for m in ("vsd", "sds")]
    bad, good = run_cells(cells, tmp_path)
    assert "trains a LoRA" in bad.error and bad.metrics == {}
    assert good.error is None and good.metrics["contrast"] > 0
    reason = json.loads((cell_folder(tmp_path, cells[0]) / "failed.json").read_text())["error"]
    assert reason == bad.error and read_result(tmp_path, cells[0]) is None
    assert write_tables([bad, good], tmp_path, {}) == ["table.csv", "table.json", "table.md"]
    assert f"- vsd on 'brick', seed 0: {bad.error}" in (tmp_path / "table.md").read_text()
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [r["status"] for r in rows] == ["failed", "finished"] and rows[0]["error"] == bad.error


def test_a_folder_that_cannot_be_written_ends_the_run_and_keeps_the_seeds_before_it(prior, tmp_path):
    cells = [cell(seed=s) for s in (6, 7)]
    blocked = cell_folder(tmp_path, cells[1])
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        run_cells(cells, tmp_path, prior=prior)  # not even the reason can be written: that is the disk's fault
    assert read_result(tmp_path, cells[0]) is not None


def test_an_interrupt_keeps_what_is_finished(prior, tmp_path):
    cells = [cell("a"), cell("b")]

    def stop(c, record, n):
        if c.label == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, tmp_path, on_step=stop, prior=prior)
    assert read_result(tmp_path, cells[0]) and not read_result(tmp_path, cells[1])


def test_labels_that_share_a_folder_and_no_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="share a folder"):
        run_cells([cell("a b"), cell("a/b")], tmp_path)
    with pytest.raises(ValueError, match="batch"):
        run_cells([cell()], tmp_path, batch=0)


def test_the_summary_is_mean_and_sample_sd(tmp_path):
    from statistics import mean, stdev

    from tbsd_pack.tbsd_core.comparison import CellResult

    values = [0.2, 0.5, 0.9]
    results = [CellResult(cell(seed=i), {"contrast": v}, 4, 1.0) for i, v in enumerate(values)]
    results.append(CellResult(cell(seed=9), {}, 0, 0.0, "ValueError: no"))
    entry = summarize(results)["sds"]
    assert (entry["cells"], entry["failed"]) == (4, 1)
    assert entry["numbers"]["contrast"] == {"mean": pytest.approx(mean(values)), "sd": stdev(values), "n": 3}
    nan = dataclasses.replace(results[0], metrics={"contrast": float("nan")})
    write_tables([nan], tmp_path, {"a": 1})
    assert json.loads((tmp_path / "table.json").read_text())["cells"][0]["contrast"] is None
