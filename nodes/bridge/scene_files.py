"""The files that Load Scene can read: states of runs, and scene files in ComfyUI's output and input folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...tbsd_core.experiment import NEWEST
from ...tbsd_core.experiment.file import read_about
from .files import input_root, output_root
from .kept import PREVIEW, bytes_in, kept_runs, runs_root

MAX_FILES = 200  # the newest ones of each kind
ROOTS = {"output": output_root, "input": input_root}


def scene_files() -> list[dict[str, Any]]:
    """Newest first, as the picker of Load Scene lists them."""
    runs = [
        {
            "file": f"tbsd/runs/{about.run}/{NEWEST}",
            "kind": "run",
            "run": about.run,
            "at": about.at,
            "bytes": bytes_in(path),
            "step": about.saved,
            "steps": about.steps,
            "text": about.text,
            "method": about.method,
            "scene": about.scene,
            "status": about.status,
            "picture": (path / PREVIEW).exists(),
        }
        for path, about in kept_runs()
    ]
    places = [*files_in(output_root() / "tbsd", "output"), *files_in(input_root(), "input")]
    newest = sorted(places, reverse=True)[:MAX_FILES]
    scenes = [entry for _, path, root in newest if (entry := scene_entry(path, root)) is not None]
    return sorted(runs[:MAX_FILES] + scenes, key=lambda entry: -entry["at"])


def files_in(folder: Path, root: str) -> Iterator[tuple[float, Path, str]]:
    """When each file was written, the file, and the name of ComfyUI's folder that it is in."""
    for path in folder.rglob("*.safetensors") if folder.is_dir() else ():
        with suppress(OSError):  # it is gone
            if path.is_file() and runs_root() not in path.parents:
                yield path.stat().st_mtime, path, root


def scene_entry(path: Path, root: str) -> dict[str, Any] | None:
    """None for another kind of file."""
    try:
        about = read_about(path)
        run = about.get("run") or {}
        config = run.get("config") or {}
        stat = path.stat()
        return {
            "file": f"{path.relative_to(ROOTS[root]()).as_posix()} [{root}]",  # both folders may have one of that name
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
            "picture": False,
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return None
