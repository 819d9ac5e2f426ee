"""The preset of real models, rehearsed: `python -m benchmarks.noise_rehearsal [--scenes nerf ...] [--noise 0 4]`.

Each object is made on the learned prior with the regularisers and the Adam of the Stable Diffusion 1.x preset, at the
demo model's own sizes, scale and numbers of steps, with clean gradients and with noise of k times their RMS
(tbsd_core.guidance.rehearsal). Held-out prompts played no part in the choice of values. Prints means over prompts and
seeds with their spread, and fine detail relative to k = 0. Runs that are finished in --out are skipped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from tbsd_core.atomic import atomic_path
from tbsd_core.configuration import replaced, with_setting
from tbsd_core.experiment import ExperimentConfig, MeshInput, default_config
from tbsd_core.presets import preset
from tbsd_core.scenes import SCENES
from tbsd_core.study import ProcessPool, job_of, run_jobs

FAMILY = "sd15"
SPLITS = {
    "tuning": ("a brick house", "a wooden torus", "a dotted mushroom"),
    "heldout": ("a wooden house", "a striped torus", "a brick mushroom"),
}
# ends of the names of settings that are rehearsed
CARRIED = ("_weight", "optim.normalize_by", "optim.eps", "optim.beta1", "optim.beta2")
SHOWN = ("identity_shape", "identity_material", "high_frequency_ratio", "silhouette_iou", "occupancy_iou")
DETAIL = "high_frequency_ratio"


def rehearsed(prompt: str, scene: str, method: str, noise: float, seed: int, sets: list[str]) -> ExperimentConfig:
    """The demo model's run with the real families' regularisers and optimiser."""
    mesh = MeshInput(file=f"sample:{prompt.split()[-1]}") if SCENES[scene].paints_mesh else None
    config = replace(default_config(prompt, scene, method, seed=seed, mesh=mesh), rehearsal_noise=noise)
    for name, setting in preset(FAMILY, scene, method).items():
        if name.endswith(CARRIED) and not name.startswith("guidance."):
            config = replaced(config, name, setting.value)
    for text in sets:
        name, _, value = text.partition("=")
        config = with_setting(config, name, value)
    return config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="+", default=["nerf", "gaussian", "mesh_texture"])
    parser.add_argument("--methods", nargs="+", default=["tbsd", "sds"])
    parser.add_argument("--splits", nargs="+", default=list(SPLITS))
    parser.add_argument("--prompts", type=int, default=3, help="of each split (default: all three)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 4.0], help="k; 0 is the yardstick of detail")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="instead of the preset's value")
    parser.add_argument("--label", default="preset", help="names the rows of other values")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("output/rehearsal"))
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    cells: dict[int, tuple[str, str, str, float]] = {}
    jobs = []
    for scene in a.scenes:
        for method in a.methods:
            for noise in a.noise:
                for split in a.splits:
                    for prompt in SPLITS[split][: a.prompts]:
                        for seed in a.seeds:
                            config = rehearsed(prompt, scene, method, noise, seed, a.set)
                            jobs.append(job_of(f"{a.label} {scene} {method} k={noise:g}", config))
                            cells[id(jobs[-1])] = scene, method, split, noise
    done = run_jobs(
        jobs,
        a.out,
        lambda: ProcessPool(a.workers, in_full=False),
        anew=True,
        on_result=lambda job, report, fresh: print(job.title, report if isinstance(report, str) else "", flush=True),
    )
    rows: dict[tuple, dict[str, list[float]]] = {}
    for i, job in enumerate(jobs):
        report = done[i]
        if not isinstance(report, str):
            for name in SHOWN:
                if (value := report["metrics"].get(name)) is not None:
                    rows.setdefault(cells[id(job)], {}).setdefault(name, []).append(value)
    print(f"| scene | method | prompts | k | {' | '.join(SHOWN)} | detail / that at k = 0 |")
    print("|---" * (len(SHOWN) + 5) + "|")
    for (scene, method, split, noise), values in rows.items():
        shown = [
            f"{mean(v):.3f} ± {stdev(v) if len(v) > 1 else 0:.3f}" if (v := values.get(name)) else "-" for name in SHOWN
        ]
        clean = rows.get((scene, method, split, 0.0), {}).get(DETAIL)
        share = f"{mean(values[DETAIL]) / mean(clean):.2f}" if clean else "-"
        print(f"| {scene} | {method} | {split} | {noise:g} | {' | '.join(shown)} | {share} |")
    if a.json:
        report = [dict(zip(("scene", "method", "split", "noise"), key, strict=True)) | v for key, v in rows.items()]
        with atomic_path(a.json) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
