"""One whole run without ComfyUI: from a prompt to files, on an embedded prior or a diffusers pipeline."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .atomic import atomic_path
from .cameras.pose import Cameras
from .cameras.sampling import CameraConfig, orbit
from .configuration import differences, from_plain, replaced, to_plain
from .guidance import METHODS, build_guidance
from .lock import locked
from .media import write_mp4, write_png, write_strip
from .mesh import ExportConfig, Mesh, PlacementConfig, texture_scene, textured_mesh, write_mesh
from .mesh.isosurface import auto_threshold
from .mesh.load import load_mesh
from .mesh.paint import start_from_colors
from .metrics import evaluate_images, occupancy_iou, view_errors, view_repetition
from .optim import (
    AUTOSAVE_SECONDS,
    Autosave,
    Curves,
    OptimConfig,
    OptimState,
    StepRecord,
    Watchdog,
    create_adapter,
    load_checkpoint,
    not_finite,
    optimize,
    read_config,
)
from .optim.distributed import WHOLE, Split
from .plots import plot_curves
from .presets import preset
from .priors.base import TextPrior
from .priors.diffusers import check_pipeline, load_diffusers_prior
from .priors.diffusers.source import find
from .priors.small_world import PRIORS, load_prior
from .priors.small_world.captions import check_words, parse_object
from .priors.small_world.world import occupancy
from .prompts import PromptConfig, build_texts, encode_texts
from .sample_meshes import sample_mesh
from .scenes import SCENES, GaussianScene, RenderOutput, Scene, Scene3D
from .scenes.splat_ply import write_splats

EVALUATION_VIEWS, EVALUATION_ELEVATION = 12, 20.0
TURNTABLE_FRAMES, TURNTABLE_SIZE, TURNTABLE_FPS = 48, 192, 16
MESH = ExportConfig()
DIFFUSERS = "diffusers:"  # a prior that begins so names a pipeline
SAMPLE = "sample:"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FIXED = ("scene_name", "optim.optimizer")  # a state fits no other one
FINAL_FILES = (
    *("run.json", "curves.json", "curves.png"),
    *("mesh.glb", "splats.ply", "turntable.mp4", "turntable.png", "image.png"),
)


@dataclass(frozen=True, kw_only=True)
class MeshInput:
    """The mesh that a scene paints."""

    file: str = ""  # a GLB, OBJ, PLY or STL file, or "sample:" and the name of an object of the small world
    keep_colors: bool = False  # start from the colours it has instead of grey
    place: PlacementConfig = field(default_factory=PlacementConfig)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run. `guidance_name` and `scene_name` decide the types of the two groups."""

    prompt: PromptConfig
    guidance_name: str
    guidance: Any
    scene_name: str
    scene: Any
    cameras: CameraConfig
    optim: OptimConfig
    mesh: MeshInput = field(default_factory=MeshInput)  # for the scene mesh_texture
    prior: str = "learned"  # learned, exact, or diffusers: and the path of a pipeline
    device: str = "cpu"  # of the prior and the scene
    dtype: str = "float32"  # of the networks of a pipeline, a name in DTYPES


def default_config(
    prompt: str,
    scene: str = "nerf",
    method: str = "tbsd",
    prior: str = "learned",
    n_steps: int | None = None,
    seed: int = 0,
    size: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    allow_download: bool = False,
    mesh: MeshInput | None = None,
) -> RunConfig:
    """The preset of a method on a scene, for the family of the prior's model; None takes what the preset says.

    Args:
        prior: learned, exact, or "diffusers:" and a pipeline folder, .safetensors checkpoint or hub id.
        mesh: what to paint, for the scene mesh_texture.
        device, dtype: None for a GPU in float16 where there is one (pipelines), else the CPU in float32. The embedded
            priors run on any device, in float32.

    Raises:
        ValueError: an unknown scene, method or prior, or a number out of range.
        FileNotFoundError: there is no such pipeline.
    """
    for kind, name, table in (("scene", scene, SCENES), ("method", method, METHODS)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r}; choose one of {', '.join(table)}.")
    if prior.startswith(DIFFUSERS):
        path = find(prior.removeprefix(DIFFUSERS), allow_download)
        pipeline = check_pipeline(path)
        family, channels, factor = pipeline.family, pipeline.latent_channels, pipeline.spatial_factor
        prior = DIFFUSERS + str(path.resolve())
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = dtype or ("float16" if device.startswith("cuda") else "float32")
    elif prior in PRIORS:
        family, (channels, factor) = "embedded", {"learned": (4, 4), "exact": (3, 1)}[prior]
    else:
        raise ValueError(f"Unknown prior {prior!r}; choose one of {', '.join(PRIORS)} or {DIFFUSERS}PATH.")
    scene_config = SCENES[scene].config
    config = RunConfig(
        prompt=PromptConfig(prompt=prompt),
        guidance_name=method,
        guidance=METHODS[method].config(),
        scene_name=scene,
        scene=scene_config(seed=seed),
        cameras=CameraConfig(),
        optim=OptimConfig(seed=seed),
        prior=prior,
        device=device or "cpu",
        dtype=dtype or "float32",
        mesh=mesh or MeshInput(),
    )
    config = with_preset(config, family)
    optim = config.optim
    optim = replace(optim, size=optim.size if size is None else size)
    optim = replace(optim, n_steps=optim.n_steps if n_steps is None else n_steps)
    settings: dict[str, Any] = {}
    if scene == "image":
        settings["size"] = optim.size
    if scene == "mesh_texture":
        given = read_mesh(config.mesh)
        n_uvs = 0 if given.uvs is None else len(given.uvs)
        settings |= {"n_vertices": len(given.vertices), "n_faces": len(given.faces), "n_uvs": n_uvs}
    if scene == "latent":
        settings |= {"channels": channels, "size": (32 if prior == "exact" else optim.size) // factor}
    return replace(config, optim=optim, scene=replace(config.scene, **settings))


def with_preset(config: RunConfig, family: str) -> RunConfig:
    """`config` with the values of a model family's preset for its scene and method."""
    for name, setting in preset(family, config.scene_name, config.guidance_name).items():
        config = replaced(config, name, setting.value)
    return config


def config_from_plain(stored: dict[str, Any]) -> RunConfig:
    """Rebuild the configuration that a checkpoint or run.json holds. Raises ValueError naming what does not fit."""
    if not isinstance(stored, dict):
        raise ValueError(f"The stored configuration must be an object of settings, got {type(stored).__name__}.")
    stored = {"device": "cpu", "dtype": "float32", **stored}
    for name in ("guidance_name", "scene_name", "prior", "device", "dtype"):
        if not isinstance(stored.get(name, ""), str):
            raise ValueError(f"The stored configuration's {name} must be a name, got {stored[name]!r}.")
    try:
        return RunConfig(
            prompt=from_plain(PromptConfig, stored["prompt"]),
            guidance_name=stored["guidance_name"],
            guidance=from_plain(METHODS[stored["guidance_name"]].config, stored["guidance"]),
            scene_name=stored["scene_name"],
            scene=from_plain(SCENES[stored["scene_name"]].config, stored["scene"]),
            cameras=from_plain(CameraConfig, stored["cameras"]),
            optim=from_plain(OptimConfig, stored["optim"]),
            prior=stored["prior"],
            mesh=from_plain(MeshInput, stored.get("mesh", {})),
            device=stored["device"],
            dtype=stored["dtype"],
        )
    except KeyError as error:
        raise ValueError(f"The stored configuration lacks or does not know {error}.") from error


def read_mesh(source: MeshInput) -> Mesh:
    """The mesh to paint.

    Raises:
        ValueError: none is named, or it cannot be used; see mesh.load.
        FileNotFoundError: there is no such file.
    """
    if not source.file:
        raise ValueError("Say which mesh to paint: --mesh FILE, or --mesh sample:house to try it.")
    if source.file.startswith(SAMPLE):
        return sample_mesh(source.file.removeprefix(SAMPLE))
    return load_mesh(Path(source.file)).mesh


def make_scene(config: RunConfig) -> Scene:
    """The scene of a run before its first step, on the CPU."""
    if config.scene_name != "mesh_texture":
        return SCENES[config.scene_name].scene(config.scene)
    mesh = read_mesh(config.mesh)
    place = config.mesh.place
    if config.mesh.file.startswith(SAMPLE):  # they stand where the truth does
        place = replace(place, radius=None)
    scene = texture_scene(mesh, config.scene, place)
    if config.mesh.keep_colors:
        start_from_colors(scene, mesh)
    return scene


def is_embedded(config: RunConfig) -> bool:
    """Whether the prior is one over the small world, with a vocabulary and ground truth."""
    return not config.prior.startswith(DIFFUSERS)


def check_config(config: RunConfig) -> None:
    """Raise ValueError for what would only fail later: unknown words, sizes that do not fit, no such device."""
    if config.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}.")
    if is_embedded(config):
        for views in build_texts(config.prompt).values():
            for text in views.values():
                check_words(text)
        if config.optim.size % 4:
            raise ValueError(f"size must be a multiple of 4, got {config.optim.size}.")
        if config.dtype != "float32":
            raise ValueError(f"The embedded priors compute in float32, got {config.dtype}. Leave out --dtype.")
    try:
        torch.zeros(1, device=config.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"The device {config.device!r} cannot be used: {str(error).splitlines()[0]}") from error
    if is_embedded(config):
        return
    factor = check_pipeline(find(config.prior.removeprefix(DIFFUSERS))).spatial_factor
    encoded = config.optim.encode_size or config.optim.size
    if encoded % factor:
        raise ValueError(f"size (or encode_size) must be a multiple of {factor} for this pipeline, got {encoded}.")


def read_prior(config: RunConfig) -> TextPrior:
    """The prior of a run. Nothing is downloaded here: `default_config` has already found the pipeline."""
    if is_embedded(config):
        return load_prior(config.prior, config.device)
    return load_diffusers_prior(config.prior.removeprefix(DIFFUSERS), config.device, DTYPES[config.dtype])


def config_from_report(path: Path) -> tuple[RunConfig, list[str]]:
    """The configuration that a run.json holds, and what of the present versions differs from those it was made with.

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


def run(
    config: RunConfig,
    out: Path,
    resume: Path | None = None,
    on_step: Callable[[StepRecord], None] = lambda record: None,
    on_phase: Callable[[str], None] = lambda text: None,
    autosave_seconds: float = AUTOSAVE_SECONDS,
    split: Split = WHOLE,  # the part of the views that this process has, see follow.py
) -> dict[str, Any]:
    """Run to the end and write everything to `out`; returns what run.json holds.

    Whatever ends it early (an interrupt, memory that runs out, gradients that are not finite) saves the state of the
    steps done before it propagates; a process that is killed leaves that of at most `autosave_seconds` before.

    Raises:
        RuntimeError: another process writes to `out`.
        OSError: `out` cannot be written, or in the end the disk was full.
    """
    check_config(config)
    if resume is not None:  # said before anything is written
        check_resume(resume, config)
    with locked(out):
        return _run(config, out, resume, on_step, on_phase, autosave_seconds, split)


def check_resume(folder: Path, config: RunConfig) -> dict[str, str]:
    """How `config` differs from that of the checkpoint in `folder`, by dotted name: "was X, is Y".

    Raises:
        ValueError: there is no checkpoint, or its state fits no such run; the message says field by field why.
    """
    changed = differences(read_config(folder), json.loads(json.dumps(to_plain(config))))
    fixed = [f"{name}: {text}" for name, text in changed.items() if name in FIXED]
    if fixed:
        raise ValueError(
            f"The run in {folder} cannot be resumed with another scene or optimizer. {'; '.join(fixed)}. "
            "Leave that as it was, or start anew."
        )
    return changed


def _run(
    config: RunConfig,
    out: Path,
    resume: Path | None,
    on_step: Callable[[StepRecord], None],
    on_phase: Callable[[str], None],
    autosave_seconds: float,
    split: Split,
) -> dict[str, Any]:
    total = time.perf_counter()
    prior = read_prior(config)
    prompts = encode_texts(build_texts(config.prompt), prior.encode_prompt, config.prompt.perp_neg)
    guidance = build_guidance(config.guidance_name, config.guidance)
    scene = (SCENES[config.scene_name].scene(config.scene) if resume else make_scene(config)).to(config.device)
    state = OptimState.create(scene, config.optim, create_adapter(prior, guidance, config.optim.seed))
    state.split = split
    curves, goes_on = Curves(), False
    if resume is not None:
        changed = [f"{name} {text}" for name, text in check_resume(resume, config).items()]
        try:
            stored = load_checkpoint(resume, scene, state)
        except ValueError as error:
            raise ValueError(" ".join([str(error), *(f"{text}." for text in changed)])) from error
        curves = stored.curves
        goes_on = not stored.warning and resume.resolve() == out.resolve()
        if stored.warning:
            on_phase(stored.warning)
        for text in changed:
            on_phase(f"changed since the checkpoint: {text}")
    for name in FINAL_FILES:  # results of an older run in this folder would pass for this run's
        (out / name).unlink(missing_ok=True)
    plain = to_plain(config)
    save = Autosave(out, scene, state, plain, curves, autosave_seconds, goes_on, on_phase)
    watchdog = Watchdog(scene.uses_cameras)
    start = time.perf_counter()
    try:
        for record in optimize(prior, prompts, guidance, scene, config.cameras, config.optim, state):
            curves.add(record)
            on_step(record)
            advice = watchdog(record)
            if advice:
                on_phase(advice)
            save()
        advice = watchdog.rest()
        if advice:
            on_phase(advice)
    except (KeyboardInterrupt, RuntimeError, MemoryError):
        save.attempt()
        raise
    optimize_seconds = time.perf_counter() - start
    save.finish()
    with atomic_path(out / "curves.json") as path:
        path.write_text(json.dumps(curves.to_dict()) + "\n", encoding="utf-8")
    broken = not_finite(scene)
    if broken:
        on_phase(broken)
    warnings = [*watchdog.warnings.values(), *([broken] if broken else [])]
    metrics: dict[str, float] = {}
    files, export = ["checkpoint.safetensors", "curves.json", "run.json"], {}
    if not broken:  # nothing can be measured or drawn of numbers that are none
        if is_embedded(config):
            on_phase("measuring against ground truth")
        metrics, images = evaluate(config, scene, prior)
        on_phase("writing files")
        files, export = _write_results(config, scene, prior, images, curves, out)
        for warning in export.get("warnings", []):
            on_phase(warning)
    report = {
        "config": plain,
        "metrics": metrics,
        "warnings": warnings,
        "seconds": {
            "optimize": optimize_seconds,
            "total": time.perf_counter() - total,
            "phases": curves.seconds,
        },
        "skipped_steps": curves.skipped,
        "versions": versions(),
        "files": files,
        "mesh": export,
        "note": "TBSD is a reconstruction from the abstract of its paper; see tbsd_core/guidance/tbsd.py.",
    }
    with atomic_path(out / "run.json") as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


@torch.no_grad()
def evaluate(config: RunConfig, scene: Scene, prior: TextPrior) -> tuple[dict[str, float], Tensor]:
    """Metrics against ground truth, and the images they are of.

    A pipeline, whose pictures have no truth, and a prompt that names no single object have only how far the views of
    an object repeat.
    """
    size = config.optim.size
    if scene.uses_cameras:
        cameras = orbit(EVALUATION_VIEWS, EVALUATION_ELEVATION, config.cameras.distance, config.cameras.fov_y)
        images = rendered(scene, cameras, size, views_at_once=4)
    else:
        cameras = None
        images = pictures(scene.render(orbit(scene.n_images), size, size), prior)
    repetition = {} if cameras is None else {"view_repetition": view_repetition(images, cameras.azimuth)}
    known = parse_object(config.prompt.prompt) if is_embedded(config) else None
    if known is None:
        return repetition, images
    shape, material = known
    metrics = repetition | evaluate_images(images, shape, material, cameras)
    if scene.uses_cameras:
        if isinstance(scene, Scene3D):
            metrics["occupancy_iou"] = occupancy_iou(scene, auto_threshold(scene.bound), lambda p: occupancy(shape, p))
        metrics |= view_errors(images, shape, material, cameras)
    return metrics, images


def pictures(render: RenderOutput, prior: TextPrior) -> Tensor:
    """The pictures [B, 3, H, W] of a render, on the CPU; latents are decoded."""
    return (render.rgb if render.latents is None else prior.decode(render.latents)).cpu()


def rendered(scene: Scene, cameras: Cameras, size: int, views_at_once: int = 1) -> Tensor:
    """Views [B, 3, size, size] of an object, drawn where it is and brought to the CPU."""
    device = next(scene.parameters()).device
    parts = range(0, len(cameras), views_at_once)
    return torch.cat([scene.render(cameras[i : i + views_at_once].to(device), size, size).rgb.cpu() for i in parts])


@torch.no_grad()
def _write_results(
    config: RunConfig, scene: Scene, prior: TextPrior, images: Tensor, curves: Curves, out: Path
) -> tuple[list[str], dict[str, Any]]:
    """The files written, and the report of the mesh ({} for a picture).

    A scene without a surface costs the mesh alone: the report's warnings say why, all other files are written.
    """
    export: dict[str, Any] = {}
    files = ["checkpoint.safetensors", "curves.json"]
    if scene.uses_cameras:
        c = config.cameras
        cameras = orbit(TURNTABLE_FRAMES, EVALUATION_ELEVATION, c.distance, c.fov_y)
        frames = rendered(scene, cameras, TURNTABLE_SIZE)
        write_mp4(frames, out / "turntable.mp4", TURNTABLE_FPS)
        write_strip(frames[:: TURNTABLE_FRAMES // 8], out / "turntable.png")
        files += ["turntable.mp4", "turntable.png"]
        if isinstance(scene, GaussianScene):
            write_splats(scene.splats(), out / "splats.ply")
            files.append("splats.ply")
        else:
            try:
                mesh, export = textured_mesh(scene, MESH)
                write_mesh(mesh, out / "mesh.glb")
                files.append("mesh.glb")
            except (RuntimeError, ValueError, ImportError) as error:
                export = {"error": str(error), "warnings": [f"There is no mesh.glb: {error}"]}
    else:
        write_strip(images, out / "image.png")
        files.append("image.png")
    title = f"{config.prompt.prompt}  ({config.guidance_name}, {config.scene_name})"
    plot = torch.from_numpy(plot_curves(curves, title)).permute(2, 0, 1).float() / 255
    write_png(plot, out / "curves.png")
    return [*files, "curves.png", "run.json"], export


def versions() -> dict[str, str]:
    """Of Python and of what the numbers depend on."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("diffusers", "transformers", "nerfacc", "numpy", "safetensors", "scikit-image", "trimesh"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
