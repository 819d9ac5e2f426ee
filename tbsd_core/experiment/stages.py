"""Coarse to fine: a NeRF finds the shape, its surface becomes a mesh, and that is painted at the model's full size.

As in Magic3D (arXiv:2211.10440), Fantasia3D (arXiv:2303.13873) and ProlificDreamer (arXiv:2305.16213). Each stage has a
folder of its own. The first and the last stage are ordinary runs, so that both can be resumed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..atomic import atomic_path
from ..configuration import differences, from_plain, to_plain
from ..lock import locked
from ..mesh import ExportConfig
from ..optim import StepRecord
from ..priors.base import TextPrior
from .autosave import AUTOSAVE_SECONDS
from .check import check_config
from .config import ExperimentConfig, config_from_plain, normalised, plain_config
from .defaults import fitted, model_shape, start_config
from .file import NEWEST, load_scene, previous
from .refine import SURFACE, extract, painting, refining, shaping
from .results import FINAL_FILES, REPORT, TURNTABLE, VIEWS
from .run import run
from .start import read_prior

NERF, MESH, TEXTURE = "nerf", "mesh", "texture"
STAGES: dict[str, str] = {NERF: "1-nerf", MESH: "2-mesh", TEXTURE: "3-texture"}  # folders by name, in their order
ABOUT, RESULT = "stages.json", "mesh.glb"
# of all steps, as Magic3D in threestudio: the shape needs more of them than colours that are there already
TEXTURE_SHARE = 1 / 3


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """Everything that determines the three stages.

    Args:
        texture: the stages before it make its mesh and decide the sizes of its scene.
    """

    nerf: ExperimentConfig
    mesh: ExportConfig = SURFACE
    texture: ExperimentConfig


def default_stages(
    prompt: str,
    method: str = "tbsd",
    prior: str = "learned",
    n_steps: int | None = None,
    seed: int = 0,
    size: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    allow_download: bool = False,
    memory: int | None = None,
) -> StagesConfig:
    """The presets of a method for all stages.

    Args:
        n_steps: of NeRF and texture together, of which TEXTURE_SHARE go to the texture; None: as many as the NeRF
            alone would have.
        size: pixels of a view, in both. None: the preset's of each.
        memory: GB of the card; see `default_config`.

    Raises as `default_config`.
    """
    given = (prior, n_steps, seed, size, device, dtype, allow_download, memory)
    nerf, model = start_config(prompt, "nerf", method, *given)
    texture, _ = start_config(prompt, "mesh_texture", method, *given)
    total = nerf.optim.n_steps
    if total < 2:
        raise ValueError(f"Stages need at least 2 steps, one for the NeRF and one for the texture, got {total}.")
    n_texture = min(max(1, round(TEXTURE_SHARE * total)), total - 1)
    nerf = replace(nerf, optim=replace(nerf.optim, n_steps=total - n_texture))
    texture = replace(texture, optim=replace(texture.optim, n_steps=n_texture))
    return StagesConfig(nerf=fitted(shaping(nerf), model), texture=refining(texture, model.family))


def check_stages(config: StagesConfig) -> None:
    """Raise ValueError for errors that would only show later; see `check_config`."""
    for name, run_config in ((NERF, config.nerf), (TEXTURE, config.texture)):
        if run_config.scene_name != {NERF: "nerf", TEXTURE: "mesh_texture"}[name]:
            raise ValueError(f"The scene of the stage {name} cannot be {run_config.scene_name!r}.")
        model_shape(run_config.prior)  # knows which names there are
        check_config(run_config)


def run_stages(
    config: StagesConfig,
    out: Path,
    resume: bool = False,  # resume the run in `out`
    on_step: Callable[[StepRecord], None] = lambda record: None,
    on_phase: Callable[[str], None] = lambda text: None,
    on_stage: Callable[[int, str], None] = lambda number, name: None,  # from 1
    autosave_seconds: float = AUTOSAVE_SECONDS,
    in_full: bool = True,  # of the folders of the runs; see write_results
    prior: TextPrior | None = None,  # of the NeRF, and of the texture if it has the same; None reads them
) -> dict[str, Any]:
    """Run all stages, or the remaining ones; returns the contents of stages.json. The result is `out`/mesh.glb.

    Finished stages stay as they are. An interrupted one continues, as in `run`. The pictures of the last stage are
    copied beside the result.

    Raises:
        ValueError: settings of a stage that has ended were changed; and as `run`.
        RuntimeError: the NeRF has no surface, or another process writes to `out`.
        OSError: as `run`.
    """
    check_stages(config)
    with locked(out):
        start = time.perf_counter()
        if not resume:
            _clear(out)
        _write(out / ABOUT, {"config": plain_stages(config)})
        prior = prior or read_prior(config.nerf)
        given: dict[str, Any] = {"on_step": on_step, "on_phase": on_phase}
        given |= {"autosave_seconds": autosave_seconds, "in_full": in_full, "with_mesh": False}
        nerf, mesh, texture = (out / folder for folder in STAGES.values())
        reports: dict[str, Any] = {}

        on_stage(1, NERF)
        reports[NERF] = _ended(nerf, plain_config(config.nerf)) or run(
            config.nerf, nerf, _state(nerf), prior=prior, **given
        )
        on_stage(2, MESH)
        wanted = plain_export(config.mesh)
        reports[MESH] = _ended(mesh, wanted) or _extracted(nerf, config.mesh, wanted, mesh, on_phase)
        on_stage(3, TEXTURE)
        paint = fitted(painting(config.texture, (mesh / RESULT).resolve()), model_shape(config.texture.prior))
        painter = prior if _model(paint) == _model(config.nerf) else None
        reports[TEXTURE] = _ended(texture, plain_config(paint), True) or run(
            paint, texture, _state(texture), prior=painter, **given
        )
        on_phase("writing the painted mesh")
        extract(load_scene(texture / NEWEST), config.mesh, out / RESULT)
        shown = [name for name in (VIEWS, *TURNTABLE) if name in reports[TEXTURE]["files"]]
        for name in shown:
            with atomic_path(out / name) as temporary:
                shutil.copyfile(texture / name, temporary)
        seconds = {name: report["seconds"]["total"] for name, report in reports.items()}
        report = {
            "config": plain_stages(config),
            "metrics": {name: reports[name]["metrics"] for name in (NERF, TEXTURE)},
            "evaluations": sum(reports[name]["evaluations"] for name in (NERF, TEXTURE)),
            "warnings": [f"{name}: {text}" for name, report in reports.items() for text in report["warnings"]],
            "seconds": {**seconds, "this time": time.perf_counter() - start},
            "files": [
                *(RESULT, *shown, ABOUT),
                *(f"{STAGES[name]}/{file}" for name, r in reports.items() for file in r["files"]),
            ],
        }
        _write(out / ABOUT, report)
        return report


def stored_stages(folder: Path) -> StagesConfig:
    """The configuration of the stages in a folder. Raises ValueError if they are missing or incomplete."""
    path = folder / ABOUT
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["config"]
        return StagesConfig(
            nerf=config_from_plain(stored[NERF]),
            mesh=from_plain(ExportConfig, stored[MESH]),
            texture=config_from_plain(stored[TEXTURE]),
        )
    except (OSError, TypeError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} does not describe stages ({type(error).__name__}: {error}).") from error


def _model(config: ExperimentConfig) -> tuple[str, str, str]:
    return config.prior, config.device, config.dtype


def plain_stages(config: StagesConfig) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(to_plain(config)))


def plain_export(config: ExportConfig) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(to_plain(config)))


def _extracted(
    nerf: Path, config: ExportConfig, wanted: dict[str, Any], out: Path, on_phase: Callable[[str], None]
) -> dict[str, Any]:
    """The second stage; run.json last, because it says that the stage has ended."""
    start = time.perf_counter()
    report = extract(load_scene(nerf / NEWEST), config, out / RESULT)
    for warning in report["warnings"]:
        on_phase(warning)
    seconds = {**report["seconds"], "total": time.perf_counter() - start}
    report = {**report, "config": wanted, "seconds": seconds, "files": [RESULT, REPORT]}
    _write(out / REPORT, report)
    return report


def _ended(folder: Path, config: dict[str, Any], may_go_on: bool = False) -> dict[str, Any] | None:
    """The contents of a stage's run.json if the stage has ended with these settings; None if it has not ended.

    Raises:
        ValueError: it has ended with others, unless it `may_go_on` with these.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        changed = differences(_of_now(report["config"]), config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    for name in ("mesh.file", "device", "dtype"):  # the folder may have been moved, to another machine
        changed.pop(name, None)
    if changed and not may_go_on:
        said = "; ".join(f"{name} {text}" for name, text in changed.items())
        raise ValueError(
            f"The stage in {folder} has ended, so its settings cannot change: {said}. Start in another folder."
        )
    return None if changed else report


def _of_now(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the fields that later versions added."""
    return normalised(stored) if "scene_name" in stored else plain_export(from_plain(ExportConfig, stored))


def _state(folder: Path) -> Path | None:
    """The run to resume, where a stage has begun."""
    return folder if any(path.exists() for path in (folder / NEWEST, previous(folder / NEWEST))) else None


def _clear(out: Path) -> None:
    """Remove results of older stages from this folder, which would pass for these."""
    for folder in STAGES.values():
        for path in (out / folder / NEWEST, previous(out / folder / NEWEST), out / folder / REPORT):
            path.unlink(missing_ok=True)
    for path in (out / NEWEST, previous(out / NEWEST), *(out / name for name in FINAL_FILES)):  # also of a single run
        path.unlink(missing_ok=True)


def _write(path: Path, report: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
