"""Stages against a NeRF alone with as many noise predictions: `python -m benchmarks.stages [--steps 600] [--seeds 0]`.

Each prompt is made twice by TBSD: as a NeRF of --steps steps, and by `run --stages`, whose last
stage gets as many steps as the noise predictions of that NeRF leave it. Settings were chosen on the tuning prompts
alone. Prints a table; --write puts it into benchmarks/results/stages.md (stages_300.md for --steps 300). --prior takes
another prior than the learned one. Cells that are
finished in --out are skipped, and an interrupted one continues. --set and --label try other settings of the stages:
NeRF and mesh are then taken from the first label.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.configurations import PROMPTS_3D, SPLITS
from tbsd_core.commands.stages import assigned
from tbsd_core.experiment import NEWEST, default_config, evaluations_per_view, matched_steps, run
from tbsd_core.experiment.stages import STAGES, StagesConfig, default_stages, run_stages
from tbsd_core.mesh.load import load_mesh
from tbsd_core.metrics.geometry import mesh_occupancy_iou
from tbsd_core.priors.small_world.captions import parse_object
from tbsd_core.priors.small_world.world import occupancy

RESULTS = Path(__file__).parent / "results"
STEPS = 600
SHOWN = (
    *("identity_shape", "identity_material", "silhouette_iou", "occupancy_iou"),
    *("high_frequency_ratio", "patch_distance", "patch_coverage", "saturation_ratio"),
)
ALONE, STAGED = "NeRF alone", "stages"


def matched_stages(prompt: str, prior: str, steps: int, seed: int, sets: list[str]) -> StagesConfig:
    """Stages that take no more noise predictions per view than a NeRF of so many steps."""
    config = assigned(default_stages(prompt, prior=prior, n_steps=steps, seed=seed), sets)
    alone = default_config(prompt, prior=prior, n_steps=steps, seed=seed)
    left = evaluations_per_view(alone) - evaluations_per_view(config.nerf)
    n_steps = matched_steps(config.texture, left)
    return replace(config, texture=replace(config.texture, optim=replace(config.texture.optim, n_steps=n_steps)))


def solid(mesh: Path, prompt: str) -> float:
    """Overlap of the inside of a mesh with the true solid."""
    known = parse_object(prompt)
    assert known is not None
    return mesh_occupancy_iou(load_mesh(mesh, colors=False).mesh, 1.0, lambda points: occupancy(known[0], points))


def alone(prompt: str, prior: str, steps: int, seed: int, out: Path) -> dict:
    config = default_config(prompt, prior=prior, n_steps=steps, seed=seed)
    report = run(config, out, out if (out / NEWEST).exists() else None, in_full=False)
    return {**{name: report["metrics"][name] for name in SHOWN}, "evaluations": report["evaluations"]}


def staged(prompt: str, prior: str, steps: int, seed: int, sets: list[str], out: Path, first: Path) -> dict:
    config = matched_stages(prompt, prior, steps, seed, sets)
    for name in ("nerf", "mesh"):
        if first != out and (first / STAGES[name]).exists() and not (out / STAGES[name]).exists():
            shutil.copytree(first / STAGES[name], out / STAGES[name])
    report = run_stages(config, out, True, in_full=False)
    found = {**report["metrics"]["texture"], "occupancy_iou": solid(out / "mesh.glb", prompt)}
    return {
        **{name: found[name] for name in SHOWN},
        "evaluations": report["evaluations"],
        "of the NeRF": {name: report["metrics"]["nerf"][name] for name in SHOWN},
    }


def table(rows: list[dict]) -> str:
    """Each prompt, and the means of each split."""
    lines = [f"| prompt | run | {' | '.join(name.replace('_', ' ') for name in SHOWN)} | evaluations |"]
    lines.append("|---" * (len(SHOWN) + 3) + "|")
    for row in rows:
        cells = " | ".join(f"{row[name]:.3f}" for name in SHOWN)
        lines.append(f"| {row['prompt']}, seed {row['seed']} | {row['run']} | {cells} | {row['evaluations']:.0f} |")
    for split in dict.fromkeys(row["split"] for row in rows):
        for kind in dict.fromkeys(row["run"] for row in rows):
            own = [row for row in rows if (row["split"], row["run"]) == (split, kind)]
            cells = " | ".join(f"{mean(row[name] for row in own):.3f}" for name in SHOWN)
            lines.append(f"| **{split}, mean of {len(own)}** | {kind} | {cells} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", nargs="+", default=list(SPLITS))
    parser.add_argument("--prompts", nargs="+", metavar="PROMPT", help="of these splits (default: the first 6 of each)")
    parser.add_argument("--prior", default="learned")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the NeRF alone")
    parser.add_argument("--set", action="append", default=[], metavar="texture.KEY=VALUE")
    parser.add_argument("--label", default=STAGED, help="of the runs with these settings")
    parser.add_argument("--out", type=Path, default=Path("output/stages"))
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    a = parser.parse_args()
    torch.set_num_threads(1)
    of_prior = "" if a.prior == "learned" else f"_{a.prior}"
    rows = []
    for split in a.splits:
        for prompt in SPLITS[split]:
            if prompt not in (a.prompts or SPLITS[split][:PROMPTS_3D]):
                continue
            for seed in a.seeds:
                base = a.out / f"{prompt.replace(' ', '_')}{of_prior}_{a.steps}_{seed}"
                given = {"prompt": prompt, "prior": a.prior, "steps": a.steps, "seed": seed}
                made = {
                    a.label: lambda out, g=given, b=base: staged(**g, sets=a.set, out=out, first=b / STAGED),
                    ALONE: lambda out, g=given: alone(**g, out=out),
                }
                for label, make in made.items():
                    path = base / label / "row.json"
                    if not path.exists():
                        row = {"split": split, "prompt": prompt, "seed": seed, "run": label, **make(base / label)}
                        with atomic_path(path) as temporary:
                            temporary.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
                    rows.append(json.loads(path.read_text(encoding="utf-8")))
                    print(label, prompt, seed, {name: round(rows[-1][name], 3) for name in SHOWN}, flush=True)
    print(table(rows))
    if a.write:
        command = f"python -m benchmarks.stages --steps {a.steps} --seeds {' '.join(map(str, a.seeds))}"
        command += f" --splits {' '.join(a.splits)} --write"
        command += f" --prior {a.prior}" if of_prior else ""
        command += " --prompts" + "".join(f' "{text}"' for text in a.prompts) if a.prompts else ""
        for suffix, text in ((".json", json.dumps(rows, indent=1)), (".md", f"`{command}`\n\n{table(rows)}")):
            with atomic_path(RESULTS / f"stages{of_prior}{'' if a.steps == STEPS else f'_{a.steps}'}{suffix}") as path:
                path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
