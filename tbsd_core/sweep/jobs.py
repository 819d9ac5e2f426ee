"""A job: one cell of a sweep as plain data, its folder, and whether it is finished."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import atomic_path
from ..comparison.cells import slug

RESULT = "run.json"  # written last: where it is, the cell is finished
NAMED_DIFFERENCES = 8


@dataclass(frozen=True)
class Job:
    """One method (under its label) on one prompt with one seed; `config` is JSON, and stands in run.json."""

    label: str
    prompt: str
    seed: int
    config: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.label} on {self.prompt!r}, seed {self.seed}"


def job_folder(out: Path, job: Job) -> Path:
    """out / label / prompt / seed; a hash tells prompts apart whose letters no file name can hold."""
    digest = hashlib.sha256(f"{job.label}\n{job.prompt}".encode()).hexdigest()[:8]
    return out / slug(job.label) / f"{slug(job.prompt)[:48]}-{digest}" / f"seed_{job.seed}"


def read_report(out: Path, job: Job) -> dict[str, Any] | None:
    """run.json of a finished job, or None where it has not finished.

    Raises:
        ValueError: the folder holds another configuration's result; says which settings differ.
    """
    folder = job_folder(out, job)
    try:
        report = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(report, dict) or not isinstance(report.get("config"), dict):
        return None
    found = differences(report["config"], job.config)
    if found:
        more = f" and {len(found) - NAMED_DIFFERENCES} more" if len(found) > NAMED_DIFFERENCES else ""
        raise ValueError(
            f"{folder} holds a finished cell with other settings: {'; '.join(found[:NAMED_DIFFERENCES])}{more}. Give "
            "the settings of before, or another --out."
        )
    return report


def differences(stored: Any, wanted: Any, name: str = "") -> list[str]:
    """What differs between two JSON values, by dotted name."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        found = []
        for key in dict.fromkeys([*stored, *wanted]):
            dotted = f"{name}.{key}" if name else str(key)
            if key not in stored or key not in wanted:
                found.append(f"{dotted} is only {'there' if key in stored else 'asked for'}")
            else:
                found += differences(stored[key], wanted[key], dotted)
        return found
    return [] if stored == wanted else [f"{name} is {stored!r} there, {wanted!r} was asked for"]


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, without hidden ones (locks)."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in paths}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write a finished job's files, run.json last."""
    (folder / RESULT).unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name == RESULT):
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
            raise ValueError(f"{name!r} is not the name of a file.")
        with atomic_path(folder / name) as path:
            path.write_bytes(files[name])
