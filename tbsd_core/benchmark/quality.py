"""How good methods are against the small world's ground truth: `python -m tbsd_core benchmark quality`.

Prompts are split. Settings were chosen on TUNING and nothing was ever chosen on HELD_OUT; each object and
each material is in both. In 2D the scene is a latent, as in the published 2D runs, and the seeds of a prompt are
optimised side by side: every image has noise, timesteps and optimiser moments of its own. Timestep streams are
other draws of noise and timesteps on the same initial latents. All methods share all draws.

SDS at TBSD's own scale and with its positive prompt is always among the methods: a part of what a negative prompt
seems to do is only the scale.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from ..atomic import atomic_path
from ..configuration import to_plain, with_setting
from ..optional import require
from .statistics import mean_and_sd, paired_difference

TUNING = (
    "a brick house",
    "a wooden torus",
    "a dotted mushroom",
    "a checkered cube",
    "a striped cone",
    "a marble crystal",
    "a brick sphere",
    "a wooden cylinder",
)
HELD_OUT = (
    "a wooden house",
    "a striped torus",
    "a brick mushroom",
    "a dotted cube",
    "a checkered cone",
    "a marble cylinder",
    "a striped sphere",
    "a wooden crystal",
)
SPLITS = {"tuning": TUNING, "heldout": HELD_OUT}
PROMPTS_3D = 6  # the first of a split
SEEDS_2D, STREAMS_2D, SEEDS_3D = 4, 2, 2
REFERENCE = "tbsd"  # the label that all others are compared with
NO_WORDS = {"prompt.target_modifier": ""}


@dataclass(frozen=True)
class Entry:
    """One method with its settings, and where it takes part."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    in_3d: bool = False


# settings that are not named are the presets of the embedded world
ENTRIES: dict[str, Entry] = {
    "tbsd": Entry("tbsd", in_3d=True),
    "sds100": Entry("sds", {"guidance.guidance_scale": 100.0, **NO_WORDS}, in_3d=True),
    "sds": Entry("sds", in_3d=True),  # the fair control: TBSD's scale and positive prompt
    "sds plain prompt": Entry("sds", NO_WORDS),
    "csd": Entry("csd"),
    "gnp": Entry("bridge", {"guidance.switch": 0.0, "guidance.negative": "negative"}),
    "tnp": Entry("bridge", {"guidance.switch": 0.0, "guidance.negative": "target_negative"}, in_3d=True),
    "bridge gnp": Entry("bridge", {"guidance.negative": "negative"}),
    "bridge tnp": Entry("bridge", {"guidance.negative": "target_negative"}),
    "tbsd mgda": Entry("tbsd", {"guidance.balancer": "mgda"}),
    "tbsd mgda x schedule": Entry("tbsd", {"guidance.balancer": "mgda_schedule"}),
}
METRICS_2D = (
    "patch_distance",
    "patch_coverage",
    "high_frequency_ratio",
    "saturation_ratio",
    "silhouette_iou",
    "identity_shape",
    "identity_material",
)
METRICS_3D = (*METRICS_2D, "occupancy_iou")


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    split: str = "heldout"  # a name in SPLITS
    dimensions: tuple[str, ...] = ("2d", "3d")
    labels: tuple[str, ...] = tuple(ENTRIES)
    n_prompts: int | None = None  # the first of the split; None = all (3D: PROMPTS_3D)
    n_steps: int | None = None  # None = the presets'
    workers: int = 2  # processes of one thread each; 1 stays in this one

    def __post_init__(self) -> None:
        for name, given, known in (
            ("split", (self.split,), SPLITS),
            ("dimensions", self.dimensions, ("2d", "3d")),
            ("method", self.labels, ENTRIES),
        ):
            unknown = [g for g in given if g not in known]
            if unknown:
                raise ValueError(f"Unknown {name} {', '.join(map(repr, unknown))}; choose of {', '.join(known)}.")
        if self.workers < 1 or (self.n_prompts is not None and self.n_prompts < 1):
            raise ValueError(f"workers and n_prompts must be >= 1, got {self.workers} and {self.n_prompts}.")


@dataclass(frozen=True)
class Cell:
    """One optimisation: in 2D all seeds of a prompt and stream, in 3D one seed."""

    dimension: str
    label: str
    prompt: str
    stream: int  # 2D: timestep stream; 3D: seed

    @property
    def name(self) -> str:
        return "-".join((self.dimension, self.label, self.prompt, str(self.stream))).replace(" ", "_")


def cells(config: QualityConfig) -> list[Cell]:
    """What is to be run, prompt by prompt, so that an interrupted benchmark has whole prompts."""
    found = []
    for dimension in config.dimensions:
        prompts = SPLITS[config.split][: PROMPTS_3D if dimension == "3d" else None][: config.n_prompts]
        labels = [label for label in config.labels if dimension == "2d" or ENTRIES[label].in_3d]
        for prompt in prompts:
            for stream in range(STREAMS_2D if dimension == "2d" else SEEDS_3D):
                found += [Cell(dimension, label, prompt, stream) for label in labels]
    return found


def cell_config(cell: Cell, n_steps: int | None = None) -> Any:
    """The RunConfig of a cell."""
    from ..run import default_config

    entry = ENTRIES[cell.label]
    scene = "latent" if cell.dimension == "2d" else "nerf"
    config = default_config(cell.prompt, scene, entry.method, n_steps=n_steps, seed=cell.stream)
    if cell.dimension == "2d":
        config = with_setting(config, "scene.n_images", str(SEEDS_2D))
        config = with_setting(config, "scene.seed", "0")  # streams differ in noise and timesteps only
    for name, value in entry.settings.items():
        config = with_setting(config, name, str(value))
    return config


def run_cell(cell: Cell, folder: Path, n_steps: int | None = None) -> dict[str, Any]:
    """Run a cell, or read it where `folder` has it with the same settings. Returns what its file holds."""
    from ..cameras.sampling import orbit
    from ..guidance import build_guidance
    from ..media import write_strip
    from ..metrics import evaluate_images
    from ..optim import OptimState, create_adapter, optimize
    from ..priors.small_world.captions import parse_object
    from ..run import build_texts, encode_texts, evaluate, pictures, read_prior
    from ..scenes import SCENES

    config = cell_config(cell, n_steps)
    plain = to_plain(config)
    path = folder / f"{cell.name}.json"
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["config"] == json.loads(json.dumps(plain)):
            return stored
    start = time.perf_counter()
    prior = read_prior(config)
    prompts = encode_texts(build_texts(config.prompt), prior.encode_prompt)
    guidance = build_guidance(config.guidance_name, config.guidance)
    scene = SCENES[config.scene_name][0](config.scene)
    state = OptimState.create(scene, config.optim, create_adapter(prior, guidance, config.optim.seed))
    for _ in optimize(prior, prompts, guidance, scene, config.cameras, config.optim, state):
        pass
    seconds = time.perf_counter() - start
    if cell.dimension == "2d":
        with torch.no_grad():
            images = pictures(scene.render(orbit(SEEDS_2D), config.optim.size, config.optim.size), prior)
        shape, material = parse_object(cell.prompt)
        metrics = [evaluate_images(image[None], shape, material) for image in images]
    else:
        one, images = evaluate(config, scene, prior)
        metrics = [one]
    write_strip(images, folder / f"{cell.name}.png")
    result = {"cell": to_plain(cell), "config": plain, "seconds": seconds, "metrics": metrics}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result) + "\n", encoding="utf-8")
    return result


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends them
    require("transformers").utils.logging.disable_progress_bar()  # one for each cell's weights
    torch.set_num_threads(1)  # two processes of one thread do more than one of two, on networks this small


def _work(job: tuple[Cell, Path, int | None]) -> tuple[Cell, dict[str, Any] | None, str]:
    """A cell's result, or why there is none; one failure must not stop the others."""
    cell = job[0]
    try:
        return cell, run_cell(*job), ""
    except Exception as error:
        return cell, None, f"{type(error).__name__}: {error}"


def measure_quality(
    config: QualityConfig,
    folder: Path,  # of the cells' files; finished ones are not run again
    on_cell: Callable[[Cell, str], None] = lambda cell, failure: None,
) -> dict[str, Any]:
    """Run everything and return the report: means, spreads, paired differences, failures."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(cell, folder, config.n_steps) for cell in cells(config)]
    results: dict[Cell, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    for cell, result, failure in _map(jobs, config.workers):
        if result is None:
            failures[cell.name] = failure
        else:
            results[cell] = result
        on_cell(cell, failure)
    return summarize(results, config) | {"failures": failures}


def _map(jobs: list, workers: int) -> Iterator:
    if workers == 1:
        yield from map(_work, jobs)
        return
    with get_context("spawn").Pool(workers, initializer=_start_worker) as pool:
        yield from pool.imap_unordered(_work, jobs)


def summarize(results: Mapping[Cell, Mapping[str, Any]], config: QualityConfig) -> dict[str, Any]:
    """Tables by dimension and label: mean and sd of each metric, wrong identities, difference from REFERENCE."""
    report: dict[str, Any] = {"split": config.split, "n_steps": config.n_steps, "torch": torch.__version__}
    for dimension, names in (("2d", METRICS_2D), ("3d", METRICS_3D)):
        by_label: dict[str, dict[tuple, dict[str, float]]] = {}
        seconds: dict[str, list[float]] = {}
        for cell, result in results.items():
            if cell.dimension == dimension:
                rows = by_label.setdefault(cell.label, {})
                rows |= {(cell.prompt, cell.stream, i): row for i, row in enumerate(result["metrics"])}
                seconds.setdefault(cell.label, []).append(result["seconds"])
        if not by_label:
            continue
        report[dimension] = {
            label: _row(by_label[label], by_label.get(REFERENCE), names, label)
            | {"seconds_per_run": mean_and_sd(seconds[label])[0]}
            for label in config.labels
            if label in by_label
        }
    return report


def _row(rows: Mapping, reference: Mapping | None, names: tuple[str, ...], label: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "n": len(rows),
        "wrong_identity": sum(min(r["identity_shape"], r["identity_material"]) < 0.5 for r in rows.values()),
    }
    for name in names:
        values = {key: row[name] for key, row in rows.items() if row[name] == row[name]}  # NaN: no patch fits
        if not values:
            continue
        mean, sd = mean_and_sd(list(values.values()))
        out[name] = {"mean": mean, "sd": sd}
        if reference is not None and label != REFERENCE:
            theirs = {key: row[name] for key, row in reference.items() if row[name] == row[name]}
            d = paired_difference(theirs, values)
            out[name][f"{REFERENCE}_minus_this"] = {"mean": d.mean, "low": d.low, "high": d.high, "n": d.n}
    return out


def markdown(report: Mapping[str, Any]) -> str:
    """The report as tables: what each method reached, and how TBSD differs from it."""
    lines = [f"Split: {report['split']}. Mean and standard deviation."]
    for dimension, names in (("2d", METRICS_2D), ("3d", METRICS_3D)):
        if dimension not in report:
            continue
        table = report[dimension]
        heads = [name.replace("_", " ") for name in names]
        lines += ["", f"## {dimension.upper()}", "", "| method | n | wrong identity | " + " | ".join(heads) + " | s |"]
        lines.append("|---" * (len(names) + 4) + "|")
        for label, row in table.items():
            shown = [f"{row[n]['mean']:.3f} ± {row[n]['sd']:.3f}" if n in row else "" for n in names]
            cells_ = [label, str(row["n"]), str(row["wrong_identity"]), *shown, f"{row['seconds_per_run']:.0f}"]
            lines.append("| " + " | ".join(cells_) + " |")
        if REFERENCE not in table or len(table) < 2:
            continue
        lines += ["", f"Paired difference {REFERENCE} - method, 95 % interval; bold where it excludes 0.", ""]
        lines += ["| method | " + " | ".join(heads) + " |", "|---" * (len(names) + 1) + "|"]
        for label, row in table.items():
            if label == REFERENCE:
                continue
            shown = []
            for name in names:
                d = row.get(name, {}).get(f"{REFERENCE}_minus_this")
                text = "" if d is None else f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]"
                shown.append(f"**{text}**" if d and (d["low"] > 0 or d["high"] < 0) else text)
            lines.append("| " + " | ".join([label, *shown]) + " |")
    if report.get("failures"):
        lines += ["", "Failed: " + "; ".join(f"{name} ({why})" for name, why in report["failures"].items())]
    return "\n".join(lines) + "\n"
