"""Kill runs at random moments and resume them: `python -m benchmarks.kills [--kills 200] [--scene nerf]`.

A small run on the small world saves its state after each step. A forked process runs it and is killed (SIGKILL) after a
random time, many times over, until one reaches the end; then the next run begins. After each kill the folder must hold
a state that reads. The final states and curves must equal the uninterrupted run's bit for bit. POSIX only.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from tbsd_core.experiment import NEWEST, ExperimentConfig, Stored, default_config, read_newest, run
from tbsd_core.experiment.file import previous

FILES = (NEWEST, previous(Path(NEWEST)).name)


@dataclass
class Counts:
    kills: int = 0
    before_any_state: int = 0  # so early that there was nothing to resume from: these began anew
    from_the_previous: int = 0  # between the two renames, where only the previous state has a name
    corrupt: int = 0
    runs: int = 0
    different: int = 0  # finished runs that are not bit-equal to the uninterrupted one


class Stop(Exception):
    """The steps are done; what follows (measuring, drawing) is not what is tried here."""


def small_run(scene: str, steps: int, prior: str = "exact") -> ExperimentConfig:
    return default_config("a brick house", scene, prior=prior, n_steps=steps, size=32)


def kill_runs(config: ExperimentConfig, kills: int, folder: Path, seed: int = 0) -> Counts:
    """Kill forked runs of `config` until there were so many kills and the last run has ended."""
    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    _steps(config, folder / "warm")  # what is loaded once would count as part of a run
    started = time.perf_counter()
    _steps(config, folder / "whole")
    seconds = time.perf_counter() - started
    whole = read_newest(folder / "whole")
    assert equal_runs(whole, read_newest(folder / "warm"))  # two runs of one seed
    draw, counts, reach, done = random.Random(seed), Counts(), 0.5 * seconds, 0
    while counts.kills < kills:
        out = folder / f"run_{counts.runs}"
        counts.runs += 1
        while not _ended(out, config.optim.n_steps):
            # where no kill is due any more, it may take the time it needs
            _forked(config, out, draw.uniform(0, reach) if counts.kills < kills else None, counts)
            before, done = done, _step(out)
            # a busy machine needs longer to begin: kills before the first step of each go would try nothing
            reach *= 1.25 if done == before else 0.8 if done - before > config.optim.n_steps / 6 else 1.0
        done = 0
        counts.different += not equal_runs(read_newest(out), whole)
        print(f"{counts.runs} runs, {counts}", flush=True)
    return counts


def _steps(config: ExperimentConfig, out: Path) -> None:
    """All steps of a run, from the state in `out` if there is one."""

    def stop(text: str) -> None:
        if text.startswith("measuring"):
            raise Stop

    resume = out if any((out / name).exists() for name in FILES) else None
    try:
        run(config, out, resume, on_phase=stop, autosave_seconds=0.0)
    except Stop:
        pass


def _forked(config: ExperimentConfig, out: Path, limit: float | None, counts: Counts) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _steps(config, out)
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    if limit is not None:
        time.sleep(limit)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        counts.kills += 1
        if not any((out / name).exists() for name in FILES):
            counts.before_any_state += 1
            return
    elif os.WEXITSTATUS(status):
        raise RuntimeError(f"A run in {out} could not go on; what it printed says why.")
    try:
        counts.from_the_previous += not (out / NEWEST).exists()
        found = read_newest(out)
        counts.corrupt += bool(found.warning) and (out / NEWEST).exists()
    except ValueError as error:
        counts.corrupt += 1
        raise RuntimeError(f"After {counts.kills} kills: {error}") from error


def _step(out: Path) -> int:
    """Steps done in the state of a folder; 0 without one."""
    found = read_newest(out).run if any((out / name).exists() for name in FILES) else None
    return found.step if found is not None else 0


def _ended(out: Path, n_steps: int) -> bool:
    return (out / NEWEST).exists() and _step(out) == n_steps


def equal_runs(a: Stored, b: Stored) -> bool:
    """Scene, moments and curves to the last bit; NaN counts as itself."""
    first, second = a.run, b.run
    if first is None or second is None or (first.step, first.bad_steps) != (second.step, second.bad_steps):
        return False
    tensors = [{**s.tensors, **r.tensors, **r.curves.to_tensors()} for s, r in ((a, first), (b, second))]
    same = tensors[0].keys() == tensors[1].keys()
    return same and all(v.numpy().tobytes() == tensors[1][k].numpy().tobytes() for k, v in tensors[0].items())


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and resume them.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scene", default="nerf", help="nerf, image or gaussian (default %(default)s)")
    parser.add_argument("--prior", default="exact", help="exact or learned (default %(default)s)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        config = small_run(arguments.scene, arguments.steps, arguments.prior)
        counts = kill_runs(config, arguments.kills, Path(folder), arguments.seed)
    print(
        f"{counts.kills} kills of {counts.runs} runs in {time.perf_counter() - start:.0f} s: {counts.corrupt} corrupt "
        f"states, {counts.different} results that differ from the uninterrupted run; {counts.before_any_state} came "
        f"before the first state, {counts.from_the_previous} between the two renames"
    )
    raise SystemExit(bool(counts.corrupt or counts.different))


if __name__ == "__main__":
    main()
