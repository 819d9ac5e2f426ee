"""What Load Scene can read: states of runs, and scene files in ComfyUI's output and input folders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ...tbsd_core.experiment import NEWEST
from ...tbsd_core.experiment.file import read_about
from .files import input_root, output_root
from .kept import kept_runs, runs_root

MAX_FILES = 200  # the newest ones of each kind
logger = logging.getLogger(__name__)


def scene_files() -> list[dict[str, Any]]:
    """Newest first, as the picker of Load Scene lists them."""
    runs = [
        {
            "file": f"tbsd/runs/{about.run}/{NEWEST}",
            "kind": "run",
            "run": about.run,
            "at": about.at,
            "bytes": sum(f.stat().st_size for f in path.iterdir() if f.is_file()),
            "step": about.saved,
            "steps": about.steps,
            "text": about.text,
            "method": about.method,
            "scene": about.scene,
            "status": about.status,
        }
        for path, about in kept_runs()
    ]
    places = [(root, p) for root, top in ((output_root(), "tbsd"), (input_root(), "")) for p in files_in(root / top)]
    places.sort(key=lambda place: -place[1].stat().st_mtime)
    scenes = [entry for root, path in places[:MAX_FILES] if (entry := scene_entry(root, path)) is not None]
    return sorted(runs[:MAX_FILES] + scenes, key=lambda entry: -entry["at"])


def files_in(folder: Path) -> list[Path]:
    found = folder.rglob("*.safetensors") if folder.is_dir() else []
    return [path for path in found if path.is_file() and runs_root() not in path.parents]


def scene_entry(root: Path, path: Path) -> dict[str, Any] | None:
    """None for a file of something else."""
    try:
        about = read_about(path)
        run = about.get("run") or {}
        config = run.get("config") or {}
        stat = path.stat()
        return {
            "file": path.relative_to(root).as_posix(),
            "kind": "scene",
            "run": None,
            "at": stat.st_mtime,
            "bytes": stat.st_size,
            "step": run.get("step"),
            "steps": config.get("optim", {}).get("n_steps"),
            "text": str(config.get("prompt", {}).get("prompt", ""))[:1000],
            "method": str(config.get("guidance_name", "")),
            "scene": str(about.get("scene", {}).get("kind", "")),
            "status": "",
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return None
