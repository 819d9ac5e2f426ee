"""Runs the jobs of a sweep on a pool: skips finished ones, writes what ends, tries failed ones again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .jobs import RESULT, Job, job_folder, read_report, write_files
from .pool import Pool

Reports = dict[int, "dict[str, Any] | str"]  # by index of the job: run.json, or the reason why there is none


def run_sweep(
    jobs: Sequence[Job],
    out: Path,
    make_pool: Callable[[], Pool],  # called if there is something to do
    retries: int = 2,  # tries after the first, >= 0
    on_result: Callable[[Job, dict[str, Any] | str, bool], None] = lambda job, report, fresh: None,
    on_note: Callable[[str], None] = lambda text: None,
    reports: Reports | None = None,  # filled as results come, so that an interrupted sweep has them
) -> Reports:
    """run.json of every finished job, or the reason why it failed, by index. Each is on disk before it counts.

    Raises:
        ValueError: two jobs share a folder, or one holds the result of another configuration.
        RuntimeError: the pool can do no more (no server answers, say).
        KeyboardInterrupt: passed on; what was finished stays on disk.
    """
    if retries < 0:
        raise ValueError(f"retries must be at least 0, got {retries}.")
    reports = {} if reports is None else reports
    folders: dict[Path, Job] = {}
    for job in jobs:
        if folders.setdefault(job_folder(out, job), job) is not job:
            raise ValueError(f"{job.title} is there twice: give one of the two lines a name, or a method a label.")
    found = {i: report for i, job in enumerate(jobs) if (report := read_report(out, job)) is not None}
    for i, report in found.items():
        reports[i] = report
        on_result(jobs[i], report, False)
    waiting = deque(i for i in range(len(jobs)) if i not in found)
    if not waiting:
        return reports
    tries: Counter[int] = Counter()
    pool = make_pool()
    try:
        while len(reports) < len(jobs):
            while waiting and pool.room() > 0:
                i = waiting.popleft()
                pool.submit(i, jobs[i])
            for outcome in pool.wait():
                i = outcome.index
                if outcome.files is not None:
                    write_files(job_folder(out, jobs[i]), outcome.files)
                    report = read_report(out, jobs[i])
                    if report is None:
                        raise RuntimeError(f"{jobs[i].title} came back without a {RESULT} that can be read.")
                    reports[i] = report
                    on_result(jobs[i], report, True)
                    continue
                tries[i] += not outcome.given_back
                if outcome.given_back or (outcome.again and tries[i] <= retries):
                    on_note(f"{jobs[i].title}: {outcome.error}; it will be tried again")
                    waiting.appendleft(i) if outcome.given_back else waiting.append(i)
                else:
                    reports[i] = outcome.error
                    on_result(jobs[i], outcome.error, True)
    finally:
        pool.close()
    return reports
