"""The capacity and the cost of a NeRF, without a prior: fitted to true views of small-world objects.

Three questions, one row each per setting: how near a fit comes to the truth (the ceiling of everything
that is distilled), how many rays a second it renders forwards and backwards, and the most memory that took.
Every row is measured in a process of its own, since a process never gives its memory back.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import torch

from ..cameras.sampling import CameraConfig, orbit, sample_cameras
from ..mesh.isosurface import auto_threshold
from ..metrics import occupancy_iou
from ..priors.small_world.world import occupancy, render_truth
from ..rng import named_generator
from ..scenes import NeRFConfig, NeRFScene

SETTINGS: dict[str, NeRFConfig] = {
    "dense": NeRFConfig(),
    "dense, nothing skipped": NeRFConfig(occupancy_resolution=0),
    "kplanes": NeRFConfig(encoding="kplanes", resolutions=(32, 64)),
    "hash": NeRFConfig(encoding="hash", resolutions=(16, 128)),
}
HELD_OUT_VIEWS, HELD_OUT_ELEVATION = 6, 25.0
RATE_ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class FieldConfig:
    shape: str = "house"
    material: str = "brick"
    n_steps: int = 150  # of the fit
    views_per_step: int = 4
    size: int = 64  # pixels of a view
    lr: float = 0.02
    settings: tuple[str, ...] = tuple(name for name in SETTINGS if name != "hash")  # on a CPU that takes minutes
    device: str = "cpu"

    def __post_init__(self) -> None:
        unknown = [name for name in self.settings if name not in SETTINGS]
        if unknown:
            raise ValueError(f"Unknown settings {', '.join(unknown)}; choose from {', '.join(SETTINGS)}.")


def measure_field(config: FieldConfig, on_row: Callable[[dict], None] = lambda row: None) -> dict:
    """Rows of all settings, with the configuration under "config"."""
    rows = []
    context = multiprocessing.get_context("spawn")
    for name in config.settings:
        with context.Pool(1, maxtasksperchild=1) as pool:
            row = pool.apply(measure_setting, (name, config, torch.get_num_threads()))
        rows.append(row)
        on_row(row)
    return {"config": asdict(config), "torch": torch.__version__, "rows": rows}


def measure_setting(name: str, config: FieldConfig, n_threads: int) -> dict:
    """PSNR in dB of held-out views, occupancy IoU, seconds of the fit, rays per second, and GiB."""
    torch.set_num_threads(n_threads)
    field = SETTINGS[name]
    before = _peak_gib(config.device)
    scene = NeRFScene(field).to(config.device)
    start = time.perf_counter()
    optimizer = torch.optim.Adam(scene.parameter_groups(config.lr), betas=(0.9, 0.99))
    truth_of = CameraConfig()
    for step in range(config.n_steps):
        cameras = sample_cameras(truth_of, config.views_per_step, named_generator(0, "camera", step))
        truth = render_truth(config.shape, config.material, cameras, config.size).images.to(config.device)
        render = scene.render(cameras, config.size, config.size, named_generator(0, "jitter", step))
        loss = (render.rgb - truth).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    memory = _peak_gib(config.device) - (0.0 if config.device.startswith("cuda") else before)
    rate = _rays_per_second(scene, config)
    views = orbit(HELD_OUT_VIEWS, HELD_OUT_ELEVATION, truth_of.distance, truth_of.fov_y)
    with torch.no_grad():
        scene = scene.cpu()
        error = scene.render(views, config.size, config.size).rgb - render_truth(
            config.shape, config.material, views, config.size
        ).images
        psnr = float(-10 * error.square().mean().log10())
        iou = occupancy_iou(scene, auto_threshold(scene.bound), lambda p: occupancy(config.shape, p))
    return {
        "setting": name,
        "psnr": psnr,
        "occupancy_iou": iou,
        "fit_seconds": seconds,
        "rays_per_second": rate,
        "peak_gib": memory,
    }


def _rays_per_second(scene: NeRFScene, config: FieldConfig) -> float:
    """Rays rendered, with the gradient of the mean colour, on the fitted object."""
    cameras, on_gpu = orbit(config.views_per_step), config.device.startswith("cuda")
    seconds = []
    for step in range(RATE_ROUNDS + 2):
        start = time.perf_counter()
        scene.render(cameras, config.size, config.size, named_generator(0, "jitter", step)).rgb.mean().backward()
        if on_gpu:
            torch.cuda.synchronize(config.device)
        seconds.append(time.perf_counter() - start)
    return config.views_per_step * config.size**2 / median(seconds[2:])


def _peak_gib(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    import resource  # Unix alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def table(report: dict) -> str:
    """The report as Markdown."""
    config = report["config"]
    lines = [
        f"{config['n_steps']} supervised steps on {config['views_per_step']} views of {config['size']} pixels of "
        f"a {config['material']} {config['shape']}, {config['device']}.",
        "",
        "| setting | held-out PSNR, dB | occupancy IoU | seconds | rays/s, with gradient | peak memory, GiB |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['setting']} | {row['psnr']:.1f} | {row['occupancy_iou']:.3f} | {row['fit_seconds']:.1f} | "
            f"{row['rays_per_second']:,.0f} | {row['peak_gib']:.2f} |"
        )
    return "\n".join(lines)
