from __future__ import annotations

import csv
import json
from statistics import mean, stdev

import pytest
from tbsd_pack.tbsd_core.study import Job, job_row, markdown, summarize, table_row, write_tables


def test_the_summary_is_mean_and_sample_sd_and_what_is_not_finite_is_nothing(tmp_path):
    values = [0.2, 0.5, 0.9]
    rows = [table_row("sds", "brick", (i, i), metrics={"contrast": v}, seconds=1.0) for i, v in enumerate(values)]
    rows.append(table_row("sds", "brick", (9, 9), error="ValueError: no"))
    rows.append(table_row("csd", "brick", (0, 0), metrics={"contrast": float("nan")}, evaluations=8.0))
    entry = summarize(rows)["sds"]
    assert (entry["cells"], entry["failed"]) == (4, 1)
    assert entry["numbers"]["contrast"] == {"mean": pytest.approx(mean(values)), "sd": stdev(values), "n": 3}
    assert write_tables(rows, tmp_path, {"a": 1}) == ["table.csv", "table.json", "table.md"]
    stored = json.loads((tmp_path / "table.json").read_text())
    assert stored["cells"][-1]["contrast"] is None and stored["cells"] == rows and stored["settings"] == {"a": 1}
    assert "- sds on 'brick', seed 9: ValueError: no" in (tmp_path / "table.md").read_text()
    lines = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [r["status"] for r in lines] == ["finished"] * 3 + ["failed", "finished"]
    assert lines[3]["error"] == "ValueError: no" and lines[4]["evaluations"] == "8"


def test_a_label_with_a_bar_stays_one_column():
    head, _, row = markdown([table_row("SDS prompt a|b", "a|b", (0, 0))]).splitlines()
    assert row.replace(r"\|", "").count("|") == head.count("|")


def test_a_row_of_a_job_is_what_its_report_says():
    job = Job("a", "brick", 1, {"optim": {"n_steps": 4}}, 1001)
    report = {"seconds": {"total": 9.0, "optimize": 2.0}, "evaluations": 8.0, "metrics": {"contrast": None}}
    row = job_row(job, report)
    assert (row["timestep_seed"], row["steps"], row["evaluations"], row["seconds"]) == (1001, 4, 8, 2.0)
    workflow = job_row(Job("a", "brick", 1, {"workflow": {}}), {"seconds": {"total": 9.0}, "metrics": {}})
    assert (workflow["steps"], workflow["evaluations"], workflow["seconds"]) == (None, None, 9.0)
