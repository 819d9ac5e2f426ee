"""The files that a run leaves in its folder: pictures, measures, curves, a mesh, and run.json, which describes all of
them."""

from __future__ import annotations

import json
import math
import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..atomic import atomic_path
from ..cameras.pose import Cameras
from ..cameras.sampling import orbit
from ..configuration import differences
from ..media import write_mp4, write_png, write_strip
from ..mesh import ExportConfig, textured_mesh, write_mesh
from ..mesh.isosurface import auto_threshold
from ..metrics import evaluate_images, image_statistics, mask_iou, occupancy_iou, view_errors, view_repetition
from ..optim import not_finite
from ..plots import plot_curves
from ..priors.base import Prior
from ..priors.small_world.captions import parse_object
from ..priors.small_world.world import occupancy
from ..scenes import GaussianScene, RenderOutput, Scene, Scene3D
from ..scenes.splat_ply import write_splats
from ..scenes.splat_start import file_splats
from .config import ExperimentConfig, config_from_plain, is_demo, plain_config
from .experiment import Experiment
from .file import NEWEST

EVALUATION_VIEWS, EVALUATION_ELEVATION = 12, 20.0
TURNTABLE_FRAMES, TURNTABLE_SIZE, TURNTABLE_FPS = 48, 192, 16
MESH = ExportConfig()
REPORT, VIEWS, TURNTABLE = "run.json", "views.png", ("turntable.mp4", "turntable.png")
FINAL_FILES = (
    *(REPORT, "curves.json", "curves.png", VIEWS),
    *("mesh.glb", "splats.ply", *TURNTABLE, "image.png"),
    "stages.json",  # of stages that were there before
)


@dataclass(frozen=True)
class Account:
    """The facts about a run at its end, beside its state.

    Args:
        seconds: "optimize" and "cpu"; of a run beside others its share.
        began: time.perf_counter() when it did, for the seconds in total.
        beside: pictures that were optimised in one batch.
        warnings: what its watchdog said.
    """

    seconds: dict[str, float]
    began: float
    beside: int = 1
    warnings: list[str] = field(default_factory=list)


@torch.no_grad()
def evaluate(config: ExperimentConfig, scene: Scene, prior: Prior) -> tuple[dict[str, float], Tensor]:
    """Measures of a scene, and the pictures that were measured.

    On a demo model they compare with ground truth if the prompt names one object and one material. Other pictures get
    statistics that need no truth, and objects a measure of how far their views repeat.
    """
    size = config.optim.size
    if scene.uses_cameras:
        cameras = orbit(EVALUATION_VIEWS, EVALUATION_ELEVATION, *config.cameras.farthest)
        images, opacity = rendered(scene, cameras, size, views_at_once=4)
    else:
        cameras = opacity = None
        images = pictures(scene.render(orbit(scene.n_images), size, size), prior)
    metrics = {name: float(v.mean()) for name, v in image_statistics(images).items()}
    if cameras is not None:
        metrics["view_repetition"] = view_repetition(images, cameras.azimuth)
    known = parse_object(config.prompt.prompt) if is_demo(config) else None
    if known is None:
        return metrics, images
    shape, material = known
    metrics |= evaluate_images(images, shape, material, cameras)
    if cameras is not None and opacity is not None:
        metrics["mask_iou"] = mask_iou(opacity, shape, material, cameras)
        if isinstance(scene, Scene3D):
            metrics["occupancy_iou"] = occupancy_iou(scene, auto_threshold(scene.bound), lambda p: occupancy(shape, p))
        metrics |= view_errors(images, shape, material, cameras)
    return metrics, images


def pictures(render: RenderOutput, prior: Prior) -> Tensor:
    """The pictures [B, 3, H, W] of a render, on the CPU; latents are decoded."""
    return (render.rgb if render.latents is None else prior.decode(render.latents)).cpu()


def rendered(scene: Scene, cameras: Cameras, size: int, views_at_once: int = 1) -> tuple[Tensor, Tensor]:
    """Views [B, 3, size, size] of an object and their opacity [B, 1, size, size], from its device to the CPU."""
    device = next(scene.parameters()).device
    seen = []
    for i in range(0, len(cameras), views_at_once):  # what a render also holds does not wait on the device
        render = scene.render(cameras[i : i + views_at_once].to(device), size, size)
        seen.append((render.rgb.cpu(), render.opacity.cpu()))
    rgb, opacity = (torch.cat(part) for part in zip(*seen, strict=True))
    return rgb, opacity


def write_results(
    experiment: Experiment, out: Path, account: Account, in_full: bool = True, with_mesh: bool = True
) -> dict[str, Any]:
    """Measure, and write all files of a run that has ended; run.json last, because it says that the run is finished.

    Args:
        in_full: also curves, and of an object a turntable and a mesh or splats, which take as long as a short run.
        with_mesh: False leaves out the mesh, which somebody else makes.

    Returns the contents of run.json.
    """
    config, scene, prior, curves = experiment.config, experiment.scene, experiment.prior, experiment.curves
    out.mkdir(parents=True, exist_ok=True)
    broken = not_finite(scene)
    warnings = [*account.warnings, *([broken] if broken else [])]
    files, export, metrics = [NEWEST], {}, {}
    if not broken:  # values that are not finite can be neither measured nor drawn
        metrics, images = evaluate(config, scene, prior)
        files += [_written(images, out, scene.uses_cameras)]
        if in_full and scene.uses_cameras:
            made, export = _write_object(config, scene, out, with_mesh)
            files += made
            warnings += export.get("warnings", [])
    if in_full:
        files += _write_curves(experiment, out, with_plot=not broken)
    report = {
        "config": plain_config(config),
        "metrics": {k: v if math.isfinite(v) else None for k, v in metrics.items()},
        # of all its steps by these settings, also where earlier ones were done with others
        "evaluations": experiment.evaluations / _n_samples(experiment),
        "warnings": warnings,
        "seconds": {**account.seconds, "total": time.perf_counter() - account.began, "phases": curves.seconds},
        "skipped_steps": curves.skipped,
        "pictures_side_by_side": account.beside,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "files": [*files, REPORT],
        "mesh": export,
        "note": "TBSD is a reconstruction from the abstract of its paper; see tbsd_core/guidance/tbsd.py.",
    }
    with atomic_path(out / REPORT) as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _n_samples(experiment: Experiment) -> int:
    scene = experiment.scene
    return experiment.config.optim.views_per_step if scene.uses_cameras else scene.n_images


def _written(images: Tensor, out: Path, is_object: bool) -> str:
    name = VIEWS if is_object else "image.png"
    write_strip(images, out / name)
    return name


@torch.no_grad()
def _write_object(
    config: ExperimentConfig, scene: Scene, out: Path, with_mesh: bool
) -> tuple[list[str], dict[str, Any]]:
    """The files written, and the report of the mesh.

    A scene without a surface only loses its mesh: the report's warnings say why, and all other files are written.
    """
    c = config.cameras
    frames, _ = rendered(scene, orbit(TURNTABLE_FRAMES, EVALUATION_ELEVATION, *c.farthest), TURNTABLE_SIZE)
    write_mp4(frames, out / TURNTABLE[0], TURNTABLE_FPS)
    write_strip(frames[:: TURNTABLE_FRAMES // 8], out / TURNTABLE[1])
    files = [*TURNTABLE]
    if isinstance(scene, GaussianScene):
        write_splats(file_splats(scene), out / "splats.ply")
        return [*files, "splats.ply"], {}
    if not with_mesh:
        return files, {}
    try:
        mesh, export = textured_mesh(scene, MESH)
        write_mesh(mesh, out / "mesh.glb")
    except (RuntimeError, ValueError, ImportError) as error:
        return files, {"error": str(error), "warnings": [f"There is no mesh.glb: {error}"]}
    return [*files, "mesh.glb"], export


def _write_curves(experiment: Experiment, out: Path, with_plot: bool) -> list[str]:
    curves, config = experiment.curves, experiment.config
    with atomic_path(out / "curves.json") as path:
        path.write_text(json.dumps(curves.to_dict()) + "\n", encoding="utf-8")
    if not with_plot:
        return ["curves.json"]
    title = f"{config.prompt.prompt}  ({config.guidance_name}, {config.scene_name})"
    plot = torch.from_numpy(plot_curves(curves, title)).permute(2, 0, 1).float() / 255
    write_png(plot, out / "curves.png")
    return ["curves.json", "curves.png"]


def config_from_report(path: Path) -> tuple[ExperimentConfig, list[str]]:
    """The configuration in a run.json, and the versions that have changed since it was written.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        stored, made_with = report["config"], report.get("versions", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the run.json of a run ({type(error).__name__}: {error}).") from error
    changed = differences(made_with, versions())
    return config_from_plain(stored), [f"{name}: {text}" for name, text in changed.items()]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("diffusers", "transformers", "nerfacc", "numpy", "safetensors", "scikit-image", "trimesh"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
