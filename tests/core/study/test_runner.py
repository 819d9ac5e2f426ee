from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from tbsd_pack.tbsd_core.study import Job, Outcome, Task, job_folder, run_jobs
from tbsd_pack.tbsd_core.study.jobs import write_files


def jobs(n: int, **config: object) -> list[Job]:
    return [Job("m", f"prompt {i}", 0, {"i": i, "group": {"a": 1, **config}}) for i in range(n)]


class Unreliable:
    """A pool of which every answer is drawn: done, failed, or given back; it never answers in order."""

    def __init__(self, failures: dict[int, int], chance: float = 0.0, seed: int = 0, slots: int = 3) -> None:
        self.failures, self.chance, self.slots = dict(failures), chance, slots
        self.random = random.Random(seed)
        self.running: list[Task] = []
        self.submitted: Counter[int] = Counter()
        self.sizes: list[int] = []
        self.closed = False

    def room(self) -> int:
        return self.slots - len(self.running)

    def submit(self, task: Task) -> None:
        assert self.room() > 0 and not any(index in other for index in task for other in self.running)
        self.running.append(task)
        self.submitted.update(list(task))
        self.sizes.append(len(task))

    def wait(self) -> list[Outcome]:
        task = self.running.pop(self.random.randrange(len(self.running)))
        if self.random.random() < self.chance:
            return [Outcome(index, error="gone", given_back=True) for index in task]
        if any(self.failures.get(index, 0) > 0 for index in task):
            self.failures = {index: n - (index in task) for index, n in self.failures.items()}
            return [Outcome(index, error="broken") for index in task]
        return [self._done(index, job) for index, job in task.items()]

    def _done(self, index: int, job: Job) -> Outcome:
        report = {"config": job.config, "seconds": {"total": 1.0}, "metrics": {}}
        return Outcome(index, {"run.json": json.dumps(report).encode(), "a.bin": bytes([index])})

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("seed", range(5))
def test_every_job_ends_once_whatever_happens_to_its_tries(tmp_path, seed):
    pool = Unreliable({1: 2, 4: 3}, chance=0.4, seed=seed)
    shown, notes = [], []
    show = lambda job, report, fresh: shown.append(job.prompt)  # noqa: E731
    reports = run_jobs(jobs(8), tmp_path, lambda: pool, retries=2, on_result=show, on_note=notes.append)
    assert sorted(reports) == list(range(8)) and sorted(shown) == [f"prompt {i}" for i in range(8)]
    assert reports[4] == "broken", "three failures are one more than two retries allow"
    assert all(reports[i]["config"] == job.config for i, job in enumerate(jobs(8)) if i != 4)
    assert (job_folder(tmp_path, jobs(8)[3]) / "a.bin").read_bytes() == bytes([3])
    assert not job_folder(tmp_path, jobs(8)[4]).exists()
    given_back = sum("gone" in note for note in notes)
    assert sum(pool.submitted.values()) == 8 + given_back + 2 + 2 and pool.closed


def test_finished_jobs_are_not_run_again_and_failed_ones_are(tmp_path):
    run_jobs(jobs(3), tmp_path, lambda: Unreliable({1: 9}))
    pool, shown = Unreliable({}), []
    reports = run_jobs(jobs(4), tmp_path, lambda: pool, on_result=lambda job, report, fresh: shown.append(fresh))
    assert set(pool.submitted) == {1, 3} and sorted(reports) == [0, 1, 2, 3] and shown == [False, False, True, True]

    def no_pool():
        raise AssertionError("nothing is to be done")

    assert len(run_jobs(jobs(4), tmp_path, no_pool)) == 4


def test_a_finished_job_with_other_settings_is_an_error_that_says_which(tmp_path):
    run_jobs(jobs(2), tmp_path, lambda: Unreliable({}))
    with pytest.raises(ValueError, match=r"group.a was 1, is 2.*another --out"):
        run_jobs(jobs(2, a=2), tmp_path, lambda: Unreliable({}))


def test_or_it_is_run_anew_and_nothing_of_the_old_result_stays(tmp_path):
    run_jobs(jobs(2), tmp_path, lambda: Unreliable({}))
    folders = [job_folder(tmp_path, job) for job in jobs(2)]
    for folder in folders:
        (folder / "mesh.glb").write_bytes(b"of the old one")
    reports = run_jobs(jobs(2, a=2), tmp_path, lambda: Unreliable({1: 9}), anew=True)
    assert reports[0]["config"]["group"]["a"] == 2 and reports[1] == "broken"
    assert {p.name for p in folders[0].iterdir()} == {"run.json", "a.bin"} and not (folders[1] / "run.json").exists()
    pool = Unreliable({})
    assert len(run_jobs(jobs(2, a=2), tmp_path, lambda: pool, anew=True)) == 2 and set(pool.submitted) == {1}


def test_jobs_that_differ_in_their_seeds_are_one_task_and_of_one_that_fails_each_runs_alone(tmp_path):
    def picture(label: str, seed: int, method: str = "sds") -> Job:
        config = {"scene_name": "image", "scene": {"n_images": 1, "seed": seed}, "guidance_name": method}
        return Job(label, "brick", seed, {**config, "optim": {"n_steps": 1, "seed": seed, "timestep_seed": None}})

    pool = Unreliable({4: 2}, slots=9)
    several = [*(picture("a", s) for s in range(4)), *(picture("b", s) for s in range(2)), picture("v", 0, "vsd")]
    reports = run_jobs([*several, picture("v", 1, "vsd")], tmp_path, lambda: pool, batch=3)
    assert pool.sizes == [3, 1, 2, 1, 1, 1, 1], "one that trains a LoRA runs by itself; both of b once more"
    finished = sorted(i for i, report in reports.items() if isinstance(report, dict))
    assert reports[4] == "broken" and finished == [0, 1, 2, 3, 5, 6, 7]
    with pytest.raises(ValueError, match="batch must be at least 1"):
        run_jobs(several, tmp_path / "new", lambda: pool, batch=0)


def test_a_damaged_result_counts_as_none(tmp_path):
    run_jobs(jobs(1), tmp_path, lambda: Unreliable({}))
    (job_folder(tmp_path, jobs(1)[0]) / "run.json").write_text('{"config": {')
    pool = Unreliable({})
    assert len(run_jobs(jobs(1), tmp_path, lambda: pool)) == 1 and pool.submitted == {0: 1}


def test_jobs_that_would_share_a_folder_are_refused_and_texts_that_look_alike_do_not(tmp_path):
    with pytest.raises(ValueError, match="appears twice"):
        run_jobs(jobs(1) * 2 + jobs(1), tmp_path, lambda: Unreliable({}))
    texts = ["ein Haus", "ein_Haus", "\u623f\u5b50", "\u72ee\u5b50", "x" * 80, "x" * 81]
    assert len({job_folder(tmp_path, Job("m", text, 0, {})) for text in texts}) == len(texts)


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", "..", "", "a\\b"])
def test_files_that_come_back_stay_in_their_folder(name, tmp_path):
    with pytest.raises(ValueError, match="not the name of a file"):
        write_files(tmp_path / "cell", {name: b"x"})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
