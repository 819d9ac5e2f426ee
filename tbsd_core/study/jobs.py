"""A job: one experiment of a study as plain data, its folder, and whether it is finished."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import atomic_path
from ..configuration import differences
from ..experiment import NEWEST
from ..experiment.config import normalised
from ..experiment.file import previous
from ..experiment.results import FINAL_FILES, REPORT

NAMED_DIFFERENCES = 8

Report = dict[str, Any]  # the contents of run.json; written last: if it exists, the job is finished


@dataclass(frozen=True)
class Job:
    """One method (under its label) on one prompt with one seed.

    Args:
        config: JSON, as run.json holds it: an ExperimentConfig, or {"workflow": a graph of ComfyUI}.
        timestep_seed: of the timesteps alone; None = seed.
    """

    label: str
    prompt: str
    seed: int
    config: dict[str, Any]
    timestep_seed: int | None = None

    @property
    def seeds(self) -> tuple[int, int]:
        """Of everything, and of the timesteps."""
        return self.seed, self.seed if self.timestep_seed is None else self.timestep_seed

    @property
    def seed_name(self) -> str:
        seed, timesteps = self.seeds
        return f"seed {seed}" + (f", timesteps {timesteps}" if timesteps != seed else "")

    @property
    def title(self) -> str:
        return f"{self.label} on {self.prompt!r}, {self.seed_name}"

    @property
    def n_steps(self) -> int | None:
        """None if a workflow decides it."""
        return self.config["optim"]["n_steps"] if "optim" in self.config else None


def job_folder(out: Path, job: Job) -> Path:
    """out / label / prompt / seed; a hash tells texts apart whose letters no file name can hold."""
    digest = hashlib.sha256(f"{job.label}\n{job.prompt}".encode()).hexdigest()[:8]
    name = job.seed_name.replace(", ", "_").replace(" ", "_")
    return out / slug(job.label) / f"{slug(job.prompt)[:48]}-{digest}" / name


def slug(text: str) -> str:
    """A file name of letters, digits and a few signs; texts that differ elsewhere only share one."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "_", text).strip("_.")[:60] or "_"


def read_report(out: Path, job: Job, anew: bool = False) -> Report | None:
    """run.json of a finished job, or None if it has not finished.

    Args:
        anew: whether the result of another configuration counts as none.

    Raises:
        ValueError: the folder holds such a result and `anew` is False; the message names the settings that differ.
    """
    folder = job_folder(out, job)
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(report, dict) or not all(isinstance(report.get(k), dict) for k in ("config", "seconds")):
        return None
    found = [f"{name} {text}" for name, text in differences(normalised(report["config"]), job.config).items()]
    if found and not anew:
        more = f" and {len(found) - NAMED_DIFFERENCES} more" if len(found) > NAMED_DIFFERENCES else ""
        raise ValueError(
            f"{folder} holds a finished cell with other settings: {'; '.join(found[:NAMED_DIFFERENCES])}{more}. "
            "Give the same settings as before, or another --out."
        )
    return None if found else report


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, without hidden ones (locks)."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in paths}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write a finished job's files in place of an older result's, run.json last."""
    for name in files:
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
            raise ValueError(f"{name!r} is not the name of a file.")
    discard(folder)
    for name in sorted(files, key=lambda name: name == REPORT):
        with atomic_path(folder / name) as path:
            path.write_bytes(files[name])


def discard(folder: Path) -> None:
    """Remove the result of an older run, which would pass for a newer one's; run.json first."""
    newest = folder / NEWEST
    for path in (*(folder / name for name in (REPORT, *FINAL_FILES)), newest, previous(newest)):
        path.unlink(missing_ok=True)
