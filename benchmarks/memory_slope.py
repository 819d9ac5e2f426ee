"""Whether a long run grows: `python -m benchmarks.memory_slope [--steps 5000]`; Linux only.

Resident memory over the steps of a small picture run on the exact score of the small world, with
autosave, watchdog and curves as in any run. The slope belongs to the least-squares line over the second half, in MB per
1,000 steps.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from tbsd_core.experiment import default_config, run

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether a long run grows.")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--autosave", type=float, default=1.0, help="seconds between checkpoints")
    arguments = parser.parse_args()
    config = default_config("a brick house", "image", prior="exact", n_steps=arguments.steps, size=32)
    seen: list[tuple[int, float]] = []

    def watch(record) -> None:
        if record.step % 20 == 0:
            seen.append((record.step, resident_mb()))

    with tempfile.TemporaryDirectory() as folder:
        run(config, Path(folder), on_step=watch, autosave_seconds=arguments.autosave)
    half = np.array([s for s in seen if s[0] >= arguments.steps // 2])
    slope = np.polyfit(half[:, 0] / 1000, half[:, 1], 1)[0]
    print(f"{arguments.steps} steps: {seen[0][1]:.0f} MB at first, {seen[-1][1]:.0f} MB at the end,", end=" ")
    print(f"{slope:+.2f} MB per 1,000 steps over the second half")


if __name__ == "__main__":
    main()
