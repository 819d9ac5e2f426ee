from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from tbsd_pack.tbsd_core.sweep import Job, Outcome, job_folder, run_sweep
from tbsd_pack.tbsd_core.sweep.jobs import differences, write_files


def jobs(n: int, **config: object) -> list[Job]:
    return [Job("m", f"prompt {i}", 0, {"i": i, "group": {"a": 1, **config}}) for i in range(n)]


class Unreliable:
    """A pool of which every answer is drawn: done, failed, or given back; it never answers in order."""

    def __init__(self, failures: dict[int, int], chance: float = 0.0, seed: int = 0, slots: int = 3) -> None:
        self.failures, self.chance, self.slots = dict(failures), chance, slots
        self.random = random.Random(seed)
        self.running: dict[int, Job] = {}
        self.submitted: Counter[int] = Counter()
        self.closed = False

    def room(self) -> int:
        return self.slots - len(self.running)

    def submit(self, index: int, job: Job) -> None:
        assert index not in self.running and self.room() > 0
        self.running[index] = job
        self.submitted[index] += 1

    def wait(self) -> list[Outcome]:
        index = self.random.choice(list(self.running))
        job = self.running.pop(index)
        if self.random.random() < self.chance:
            return [Outcome(index, error="gone", given_back=True)]
        if self.failures.get(index, 0) > 0:
            self.failures[index] -= 1
            return [Outcome(index, error="broken")]
        report = {"config": job.config, "seconds": {"total": 1.0}, "metrics": {}}
        return [Outcome(index, {"run.json": json.dumps(report).encode(), "a.bin": bytes([index])})]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("seed", range(5))
def test_every_job_ends_once_whatever_happens_to_its_tries(tmp_path, seed):
    pool = Unreliable({1: 2, 4: 3}, chance=0.4, seed=seed)
    shown, notes = [], []
    reports = run_sweep(
        jobs(8), tmp_path, lambda: pool, 2, lambda job, report, fresh: shown.append(job.prompt), notes.append
    )
    assert sorted(reports) == list(range(8)) and sorted(shown) == [f"prompt {i}" for i in range(8)]
    assert reports[4] == "broken", "three failures are one more than two retries allow"
    assert all(reports[i]["config"] == job.config for i, job in enumerate(jobs(8)) if i != 4)
    assert (job_folder(tmp_path, jobs(8)[3]) / "a.bin").read_bytes() == bytes([3])
    assert not job_folder(tmp_path, jobs(8)[4]).exists()
    given_back = sum("gone" in note for note in notes)
    assert sum(pool.submitted.values()) == 8 + given_back + 2 + 2 and pool.closed


def test_finished_jobs_are_not_run_again_and_failed_ones_are(tmp_path):
    run_sweep(jobs(3), tmp_path, lambda: Unreliable({1: 9}), 0)
    pool, shown = Unreliable({}), []
    reports = run_sweep(jobs(4), tmp_path, lambda: pool, 0, lambda job, report, fresh: shown.append(fresh))
    assert set(pool.submitted) == {1, 3} and sorted(reports) == [0, 1, 2, 3] and shown == [False, False, True, True]

    def no_pool():
        raise AssertionError("nothing is to be done")

    assert len(run_sweep(jobs(4), tmp_path, no_pool)) == 4


def test_a_finished_job_with_other_settings_is_an_error_that_says_which(tmp_path):
    run_sweep(jobs(2), tmp_path, lambda: Unreliable({}))
    with pytest.raises(ValueError, match=r"group.a is 1 there, 2 was asked for.*another --out"):
        run_sweep(jobs(2, a=2), tmp_path, lambda: Unreliable({}))
    assert differences({"a": [1], "b": 1}, {"a": [1], "c": 1}) == ["b is only there", "c is only asked for"]


def test_a_damaged_result_counts_as_none(tmp_path):
    run_sweep(jobs(1), tmp_path, lambda: Unreliable({}))
    (job_folder(tmp_path, jobs(1)[0]) / "run.json").write_text('{"config": {')
    pool = Unreliable({})
    assert len(run_sweep(jobs(1), tmp_path, lambda: pool)) == 1 and pool.submitted == {0: 1}


def test_jobs_that_would_share_a_folder_are_refused_and_texts_that_look_alike_do_not(tmp_path):
    with pytest.raises(ValueError, match="is there twice"):
        run_sweep(jobs(1) * 2 + jobs(1), tmp_path, lambda: Unreliable({}))
    texts = ["ein Haus", "ein_Haus", "房子", "狮子", "x" * 80, "x" * 81]
    assert len({job_folder(tmp_path, Job("m", text, 0, {})) for text in texts}) == len(texts)


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", "..", "", "a\\b"])
def test_files_that_come_back_stay_in_their_folder(name, tmp_path):
    with pytest.raises(ValueError, match="not the name of a file"):
        write_files(tmp_path / "cell", {name: b"x"})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
