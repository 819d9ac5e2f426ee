"""Kernels, waits and copies of a step, by scene and method: a table that may only fall.

    python -m tests.rehearsal.counts            compare
    python -m tests.rehearsal.counts --write    lower the table to what is measured; --raise lets it also rise

Counted in the last of three small steps on the pretend device: kernels, waits of the host that leave the device idle,
and copies to the device. Which kernels an op takes depends on the versions of torch and diffusers, so the table holds
for those that it names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE / "counts.json"
COUNTS = ("kernels", "waits", "uploads")
PACKAGES = ("torch", "diffusers")
# the most that a step may wait, whatever the method and the versions
WAITS = {
    "image": 2,
    "latent": 2,
    "nerf dense": 3,
    "nerf kplanes": 3,
    "nerf hash": 3,
    "gaussian": 6,
    "mesh_texture": 4,
}
MOST_WAITS = max(WAITS.values())  # of a scene that is not named there
LATE_WAITS = 2  # of a host that reads what the step before has reported, while the device has this one


def versions() -> dict[str, str]:
    return {name: version(name).split("+")[0] for name in PACKAGES}


def measure(*arguments: str) -> dict[str, dict[str, int]]:
    """Counts by "scene method", in a process of its own: the device changes torch. Raises RuntimeError if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "inside" / "steps.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-4000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def read() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """The versions that the table is of, and its counts by "scene method"."""
    stored = json.loads(TABLE.read_text(encoding="utf-8"))
    return stored.pop("versions"), stored


def risen(found: dict[str, dict[str, int]], table: dict[str, dict[str, int]]) -> list[str]:
    """A line for each count above the table, and for what the table lacks."""
    lines = []
    for key, counts in found.items():
        if key not in table:
            lines.append(f"{key} is not in the table")
            continue
        higher = [name for name in COUNTS if counts[name] > table[key][name]]
        lines += [f"{key}: {name} {table[key][name]} -> {counts[name]}" for name in higher]
    return lines


def write(found: dict[str, dict[str, int]]) -> None:
    rows = {"versions": versions()} | {key: {name: counts[name] for name in COUNTS} for key, counts in found.items()}
    text = ",\n".join(f" {json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
    TABLE.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what is measured to the table")
    parser.add_argument("--raise", dest="may_rise", action="store_true", help="also where a count has risen")
    arguments = parser.parse_args()
    found = measure()
    lines = risen(found, read()[1]) if TABLE.exists() else []
    print("\n".join(lines) or "Nothing has risen.")
    if not arguments.write:
        return 1 if lines else 0
    if lines and not arguments.may_rise:
        print("The table is as it was. If that is what you want, say --write --raise.", file=sys.stderr)
        return 1
    write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
