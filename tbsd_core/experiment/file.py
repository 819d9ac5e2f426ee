"""The one file of a scene and of the run that it is in: safetensors, checked by a digest, bit-exact to resume from.

Command line, Load Scene, export, resume and autosave read and write it. Everything is in one file, which is complete on
the disk before it takes its name, and the one before it can be kept. So a process that is killed at any moment leaves a
state to resume from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..atomic import as_usual
from ..configuration import to_plain
from ..embedded import EMBEDDED, fitting
from ..optim import Curves
from ..optim.state_tensors import prefixed, without
from ..scenes import SCENES, Scene
from ..scenes.stored import scene_of, stored_tensors

NEWEST = "checkpoint.safetensors"  # in the folder of a run
FORMAT = "tbsd-experiment-3"
MAX_TEXT = 1_000_000  # characters of everything but tensors: some thousand, and the prompt
# ComfyUI reads the header of a dropped file from its first 4 MiB, which hold the settings and the table of tensors, too
MAX_EMBEDDED = 2 * 2**20


@dataclass(frozen=True)
class StoredRun:
    """A run between two steps, without its scene.

    Args:
        config: the ExperimentConfig as plain data. Files of release 0.1 that ComfyUI wrote have its "optim" alone.
        step: steps done. bad_steps: the last of them that were skipped.
        tensors: moments of the optimisers, reused predictions, a LoRA and a source, on the CPU.
        source: kind and configuration of the source of an edit, see experiment.source; None if the run edits nothing.
    """

    config: dict[str, Any]
    step: int
    bad_steps: int
    tensors: Mapping[str, Tensor]
    curves: Curves
    source: dict[str, Any] | None = None


@dataclass(frozen=True)
class Stored:
    """The contents of a file.

    Args:
        kind: of the scene, a name in SCENES. scene_config, tensors: its configuration as plain data, and its state.
        run: None for a scene without a run.
        source: where it was read, for messages.
        warning: why an older file was taken; "" for the one that was asked for.
        embedded: the graph that made it, by the names of EMBEDDED, where the file has it.
    """

    kind: str
    scene_config: Any
    tensors: Mapping[str, Tensor]
    run: StoredRun | None
    source: str
    warning: str = ""
    embedded: Mapping[str, str] = field(default_factory=dict)

    def scene(self) -> Scene:
        """The scene, on the CPU. Raises ValueError for a kind that this version lacks, or tensors that do not fit."""
        return scene_of(self.kind, self.scene_config, self.tensors, self.source)


def previous(path: Path) -> Path:
    """Where the file before this one is kept."""
    return path.with_suffix(f".previous{path.suffix}")


def write_file(
    path: Path,
    scene: Scene,
    run: StoredRun | None = None,
    keep_previous: bool = False,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write a scene and its run; the file is on the disk when this returns.

    Args:
        keep_previous: keep the file that was there as the previous one; False if it is damaged or of another run.
        extra: the graph that made it (EMBEDDED), which the checksum does not cover; left out if it is too large.

    Raises:
        OSError: it could not be written. The files that were there are as they were.
    """
    from safetensors.torch import save_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"The folder {path.parent} could not be created ({error}).") from error
    kind = next(name for name, spec in SCENES.items() if type(scene) is spec.scene)
    tensors = prefixed("scene", stored_tensors(scene))
    about: dict[str, Any] = {"format": FORMAT, "scene": {"kind": kind, "config": to_plain(scene.config)}, "run": None}
    if run is not None:
        tensors |= {**run.tensors, **prefixed("curves", run.curves.to_tensors())}
        about["run"] = {
            "step": run.step,
            "bad_steps": run.bad_steps,
            "config": run.config,
            "seconds": run.curves.seconds,
            "skipped_steps": run.curves.skipped,
            "source": run.source,
        }
    text = json.dumps(about, ensure_ascii=False)
    if len(text) > MAX_TEXT:
        raise OSError(f"The settings of this run have {len(text)} characters; a file holds at most {MAX_TEXT}.")
    metadata = {**fitting(extra or {}, MAX_EMBEDDED, path.name), "tbsd": text, "sha256": digest(text, tensors)}
    partial = path.with_suffix(".partial")
    try:
        try:
            save_file(tensors, str(partial), metadata=metadata)
        except Exception as error:  # the library's own type, also for a full disk
            raise OSError(f"The file {path} could not be written ({error}).") from error
        as_usual(partial)  # the library makes private files, and folders are shared
        _to_disk(partial)
        if keep_previous and path.exists():
            os.replace(path, previous(path))
        os.replace(partial, path)
        _to_disk(path.parent)
        if not keep_previous:
            previous(path).unlink(missing_ok=True)
    finally:
        partial.unlink(missing_ok=True)


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene that belongs to no run."""
    write_file(path, scene)


def load_scene(path: Path) -> Scene:
    """The scene of a file alone, on the CPU. Raises ValueError as `read_file` and `Stored.scene`."""
    return read_file(path).scene()


def read_file(path: Path) -> Stored:
    """The contents of a file. Files of release 0.1 are read, too.

    Raises:
        ValueError: it is missing, damaged, or of something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            check_header(metadata, path)  # before a checkpoint of gigabytes is read
            # copies: while a tensor lies in a file that is mapped into memory, Windows lets nobody replace the file
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise ValueError(f"The file {path} is missing.") from error
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The file {path} cannot be read ({error}).") from error
    if "tbsd" not in metadata:
        from .legacy import read_legacy

        return read_legacy(metadata, tensors, path)
    text = metadata["tbsd"]
    check_digest(metadata, text, tensors, path)
    about = json_object(text, path)
    scene, run = about.get("scene"), about.get("run")
    if about.get("format") != FORMAT or not isinstance(scene, dict):
        raise ValueError(f"{path} is not of this version: expected format {FORMAT}, got {about.get('format')!r}.")
    stored = None if run is None else stored_run(run, tensors, path)
    found = stored_scene(scene.get("kind"), scene.get("config"), without("scene", tensors), stored, path)
    return replace(found, embedded={name: metadata[name] for name in EMBEDDED if name in metadata})


def read_about(path: Path) -> dict[str, Any]:
    """The description of the scene and the run in a file, without its tensors; {} for a file of release 0.1.

    Raises:
        ValueError: it is missing, damaged, or of something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The file {path} cannot be read ({error}).") from error
    check_header(metadata, path)
    return json_object(metadata["tbsd"], path) if "tbsd" in metadata else {}


def check_header(metadata: Mapping[str, str], path: Path) -> None:
    """Raise ValueError for the metadata of any other file."""
    from .legacy import is_legacy

    if "tbsd" not in metadata and not is_legacy(metadata):
        raise ValueError(f"{path} is neither a scene nor a run of this pack: its header says {sorted(metadata)[:5]}.")
    if any(len(text) > MAX_TEXT for name, text in metadata.items() if name not in EMBEDDED):
        raise ValueError(f"{path} is damaged: its settings have more than {MAX_TEXT} characters.")


def stored_scene(kind: Any, config: Any, tensors: Mapping[str, Tensor], run: StoredRun | None, path: Path) -> Stored:
    """The contents of a file. Raises ValueError for a kind of scene that this version lacks."""
    if not isinstance(kind, str) or kind not in SCENES:
        raise ValueError(f"{path} holds a scene of the kind {kind!r}; this version knows {', '.join(SCENES)}.")
    return Stored(kind, config, tensors, run, str(path))


def read_newest(path: Path) -> Stored:
    """Read a file, or the one before it with a warning if it is damaged or missing. A folder means the folder of a run.

    Raises:
        ValueError: there is none that can be used.
    """
    path = path / NEWEST if path.is_dir() or not path.suffix else path
    problems: list[str] = []
    for candidate in (path, previous(path)):
        try:
            found = read_file(candidate)
        except ValueError as error:
            problems.append(str(error))
            continue
        if problems:
            step = "" if found.run is None else f", of step {found.run.step}"
            found = replace(found, warning=f"{problems[0]} Resuming from the one before it{step}.")
        return found
    if not path.exists() and not previous(path).exists():
        raise ValueError(f"There is no checkpoint in {path.parent}: {path.name} is missing.")
    raise ValueError(" ".join(problems) + " Start the run again.")


def stored_run(about: Any, tensors: Mapping[str, Tensor], path: Path) -> StoredRun:
    """The run that a file describes. Raises ValueError if it is damaged."""
    try:
        step, bad_steps, config = about["step"], about["bad_steps"], about["config"]
        seconds, skipped = about.get("seconds", {}), about.get("skipped_steps", 0)
        numbers = [*seconds.values(), skipped]
        if not isinstance(config, dict) or not all(isinstance(n, (int, float)) for n in numbers):
            raise ValueError("its settings are not the settings of a run")
        if not all(isinstance(n, int) and n >= 0 for n in (step, bad_steps)):
            raise ValueError(f"it has done {step!r} steps")
        told = without("curves", tensors)
        curves = Curves.from_tensors(told, seconds, skipped) if told else Curves()
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(f"The run in {path} is damaged: {error}.") from error
    own = {k: v for k, v in tensors.items() if k.partition(".")[0] not in ("scene", "curves")}
    return StoredRun(config, step, bad_steps, own, curves, about.get("source"))


def json_object(text: str, path: Path) -> dict[str, Any]:
    """Raises ValueError for text that is not a JSON object."""
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its settings are not JSON ({error}).") from error
    if not isinstance(about, dict):
        raise ValueError(f"{path} is damaged: its settings are {type(about).__name__}, expected an object.")
    return about


def check_digest(metadata: Mapping[str, str], text: str, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise ValueError if a file is not as it was written."""
    if metadata.get("sha256") != digest(text, tensors):
        raise ValueError(f"The file {path} is damaged: its content does not match its checksum.")


def digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """The digest of the settings and every tensor, in an order that does not depend on the file's."""
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name, value in sorted(tensors.items()):
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode("utf-8", "surrogatepass"))
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
