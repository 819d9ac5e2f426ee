"""Runs the jobs of a study on a pool: skips finished ones, writes results, tries failed ones again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from .jobs import Job, Report, discard, job_folder, read_report, write_files
from .pool import Outcome, Pool
from .side_by_side import grouped

Reports = dict[int, "Report | str"]  # by index of the job: run.json, or the reason why there is none


def run_jobs(
    jobs: Sequence[Job],
    out: Path,
    make_pool: Callable[[], Pool],  # called if there is something to do
    *,
    batch: int = 1,  # pictures that are optimised side by side, >= 1; more than 1 for pools that can
    retries: int = 0,  # tries after the first, >= 0
    anew: bool = False,  # whether a finished job of another configuration in the same folder is run again
    # fresh: False if it was there before
    on_result: Callable[[Job, Report | str, bool], None] = lambda job, report, fresh: None,
    on_note: Callable[[str], None] = lambda text: None,
    reports: Reports | None = None,  # filled as results come, so that an interrupted study has them
) -> Reports:
    """run.json of every finished job, or the reason why it failed, by index. Each is on disk before it counts.

    Raises:
        ValueError: two jobs share a folder, or one holds the result of another configuration.
        RuntimeError: the pool can do no more (no server answers, say).
        OSError: a result cannot be written.
        KeyboardInterrupt: passed on; finished results stay on disk.
    """
    if retries < 0:
        raise ValueError(f"retries must be at least 0, got {retries}.")
    reports = {} if reports is None else reports
    folders: dict[Path, Job] = {}
    for job in jobs:
        if folders.setdefault(job_folder(out, job), job) is not job:
            raise ValueError(f"{job.title} appears twice: give one of the two lines a name, or a method a label.")
    found = {i: report for i, job in enumerate(jobs) if (report := read_report(out, job, anew)) is not None}
    waiting = deque(grouped(jobs, [i for i in range(len(jobs)) if i not in found], batch))
    for i, report in found.items():
        reports[i] = report
        on_result(jobs[i], report, False)
    if not waiting:
        return reports
    tries: Counter[int] = Counter()
    beside: dict[int, int] = {}  # with how many it was submitted

    def end(i: int, report: Report | str) -> None:
        reports[i] = report
        on_result(jobs[i], report, True)

    def take(outcome: Outcome) -> None:
        i, job, error = outcome.index, jobs[outcome.index], outcome.error
        if outcome.files is not None:
            write_files(job_folder(out, job), outcome.files)
            report = read_report(out, job)
            if report is None:
                raise RuntimeError(f"{job.title} came back without a run.json that can be read.")
            return end(i, report)
        if beside[i] > 1:  # find out whose fault it is
            on_note(f"{job.title}: {error}; it will be run alone")
            return waiting.appendleft([i])
        tries[i] += not outcome.given_back
        if outcome.given_back or (outcome.again and tries[i] <= retries):
            on_note(f"{job.title}: {error}; it will be tried again")
            return waiting.appendleft([i]) if outcome.given_back else waiting.append([i])
        discard(job_folder(out, job))
        end(i, error)

    with closing(make_pool()) as pool:
        while len(reports) < len(jobs):
            while waiting and pool.room() > 0:
                group = waiting.popleft()
                beside |= dict.fromkeys(group, len(group))
                pool.submit({i: jobs[i] for i in group})
            for outcome in pool.wait():
                take(outcome)
    return reports
