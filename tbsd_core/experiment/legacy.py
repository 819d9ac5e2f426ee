"""Files of release 0.1, which had one format for the command line and one for ComfyUI. Read for one release more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .file import Stored, check_digest, json_object, stored_run, stored_scene, without

CHECKPOINT_FORMAT, SCENE_FORMAT, RUN_FORMAT = 2, "tbsd-scene-1", "tbsd-run-1"
ATTACHED = "attached."


def is_legacy(metadata: Mapping[str, str]) -> bool:
    """Whether a file was written by release 0.1."""
    return "run" in metadata or metadata.get("format") == SCENE_FORMAT


def read_legacy(metadata: Mapping[str, str], tensors: Mapping[str, Tensor], path: Path) -> Stored:
    """A checkpoint of the command line or a scene file of ComfyUI. Raises ValueError for a damaged one."""
    if "run" in metadata:
        return _checkpoint(metadata, tensors, path)
    return _scene_file(metadata, tensors, path)


def _checkpoint(metadata: Mapping[str, str], tensors: Mapping[str, Tensor], path: Path) -> Stored:
    text = metadata["run"]
    check_digest(metadata, text, tensors, path)
    about = json_object(text, path)
    config = about.get("config")
    if about.get("format") != CHECKPOINT_FORMAT or not isinstance(config, dict):
        raise ValueError(f"{path} is not a checkpoint that this version reads (format {about.get('format')!r}).")
    curves = about.get("curves")
    run = stored_run({**about, **(curves if isinstance(curves, dict) else {})}, tensors, path)
    return stored_scene(config.get("scene_name"), config.get("scene"), without("scene", tensors), run, path)


def _scene_file(metadata: Mapping[str, str], tensors: Mapping[str, Tensor], path: Path) -> Stored:
    run = None
    if metadata.get("attached"):
        about = json_object(metadata["attached"], path)
        if about.get("format") != RUN_FORMAT or not isinstance(about.get("config"), dict):
            raise ValueError(f"The run in {path} is from another version ({about.get('format')!r}).")
        attached = {k.removeprefix(ATTACHED): v for k, v in tensors.items() if k.startswith(ATTACHED)}
        run = stored_run({**about, "config": {"optim": about["config"]}}, attached, path)
    own = {k: v for k, v in tensors.items() if not k.startswith(ATTACHED)}
    return stored_scene(metadata.get("scene"), json_object(metadata.get("config", ""), path), own, run, path)

