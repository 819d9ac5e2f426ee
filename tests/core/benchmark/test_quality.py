from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tbsd_pack.tbsd_core import cli
from tbsd_pack.tbsd_core.benchmark import quality
from tbsd_pack.tbsd_core.benchmark.quality import (
    ENTRIES,
    HELD_OUT,
    PROMPTS_3D,
    TUNING,
    Cell,
    QualityConfig,
    cell_config,
    cells,
    markdown,
    measure_quality,
    summarize,
)
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.priors.small_world.captions import parse_object
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES

TINY = QualityConfig(dimensions=("2d",), labels=("tbsd", "sds"), n_prompts=1, n_steps=2, workers=1)


def test_splits_share_no_prompt_but_every_word():
    assert not set(TUNING) & set(HELD_OUT) and len(HELD_OUT) >= 8
    for split in (TUNING, HELD_OUT):
        objects = [parse_object(prompt) for prompt in split]
        assert {shape for shape, _ in objects} == set(SHAPES)
        assert {material for _, material in objects} == set(MATERIALS)


def test_the_full_plan_is_the_one_that_is_promised():
    plan = cells(QualityConfig())
    of_tbsd = [c for c in plan if c.label == "tbsd"]
    assert len([c for c in of_tbsd if c.dimension == "2d"]) == 8 * 2
    assert len([c for c in of_tbsd if c.dimension == "3d"]) == PROMPTS_3D * 2
    assert cell_config(of_tbsd[0]).scene.n_images == 4
    assert len(plan) == len(set(plan)) == len({c.name for c in plan})


def test_entries_name_methods_and_settings_that_exist():
    for label, entry in ENTRIES.items():
        assert entry.method in METHODS
        assert cell_config(Cell("2d", label, TUNING[0], 0)).guidance_name == entry.method


def test_the_control_shares_scale_prompt_and_draws_with_tbsd():
    tbsd, sds = (cell_config(Cell("2d", label, TUNING[0], 1)) for label in ("tbsd", "sds"))
    assert tbsd.guidance.guidance_scale == sds.guidance.guidance_scale
    assert (tbsd.prompt, tbsd.scene, tbsd.optim) == (sds.prompt, sds.scene, sds.optim)


def test_unknown_names_are_refused():
    for field, value in (("split", "test"), ("dimensions", ("4d",)), ("labels", ("dreamfusion",)), ("workers", 0)):
        with pytest.raises(ValueError, match="choose of|must be >= 1"):
            QualityConfig(**{field: value})


def test_finished_cells_are_not_run_again_and_changed_ones_are(tmp_path):
    report = measure_quality(TINY, tmp_path)
    files = sorted(tmp_path.glob("*.json"))
    assert len(files) == 4 and report["failures"] == {}
    assert report["2d"]["tbsd"]["n"] == 8 and "tbsd_minus_this" in report["2d"]["sds"]["patch_distance"]
    for path in files:  # marked, to see whether they are read
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 1234.0}))
    again = measure_quality(TINY, tmp_path)
    assert again["2d"]["tbsd"]["seconds_per_run"] == 1234.0
    changed = measure_quality(replace(TINY, n_steps=1), tmp_path)
    assert changed["2d"]["tbsd"]["seconds_per_run"] < 1234.0


def test_a_failing_cell_is_reported_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setitem(ENTRIES, "broken", quality.Entry("sds", {"guidance.guidance_scale": -1.0}))
    report = measure_quality(replace(TINY, labels=("broken", "sds"), n_steps=1), tmp_path)
    assert list(report["2d"]) == ["sds"]
    assert len(report["failures"]) == 2 and all("guidance_scale" in why for why in report["failures"].values())
    assert "Failed: " in markdown(report)


def test_differences_are_paired_and_wrong_identities_counted():
    def result(distance: float, identity: float) -> dict:
        row = dict.fromkeys(quality.METRICS_2D, 0.5) | {"patch_distance": distance, "identity_material": identity}
        return {"seconds": 2.0, "metrics": [row] * 4}

    results = {}
    for i, prompt in enumerate(HELD_OUT):
        results[Cell("2d", "tbsd", prompt, 0)] = result(0.1 * i, 1.0)
        results[Cell("2d", "sds", prompt, 0)] = result(0.1 * i + 0.25, 0.4)
    report = summarize(results, TINY)
    d = report["2d"]["sds"]["patch_distance"]["tbsd_minus_this"]
    assert (d["mean"], d["low"], d["high"]) == pytest.approx((-0.25,) * 3) and d["n"] == 32
    assert (report["2d"]["tbsd"]["wrong_identity"], report["2d"]["sds"]["wrong_identity"]) == (0, 32)
    assert "**-0.250 [-0.250, -0.250]**" in markdown(report)


def test_command_writes_report_and_table(tmp_path, capsys):
    arguments = ["--json", tmp_path / "r.json", "--out", tmp_path / "runs", "--only", "2d", "--methods", "sds"]
    arguments += ["--prompts", 1, "--steps", 1, "--workers", 1]
    assert cli.main(["benchmark", "quality", *map(str, arguments)]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["2d"]["sds"]["n"] == 8
    assert (tmp_path / "r.md").read_text() in capsys.readouterr().out
