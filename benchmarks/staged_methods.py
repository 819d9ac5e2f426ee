"""Methods compared by what `run --stages` makes of them: `python -m benchmarks.staged_methods --seeds 0 1`.

It has the rows and the prompts of `python -m tbsd_core benchmark quality`. But each run is a NeRF, then its mesh,
painted at the model's full size; the painted mesh is measured. All methods take the same steps.
Finished cells in --out are skipped and interrupted ones continue, so that several processes can share the work by
--prompts, and one without it prints the whole table. --write puts it into benchmarks/results; cells that are there
already count if they were made with the same settings and weights, unless --anew is given (after a change of code).
With --finished methods may have different seeds; each is compared with the same prompts and seeds of the reference.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from PIL import Image

from benchmarks.stages import solid
from benchmarks.thumbnails import save_small
from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.configurations import CONFIGURATIONS, REFERENCE, SPLITS, TBSD_SCALE
from tbsd_core.benchmark.quality import evaluate_dimension, markdown
from tbsd_core.benchmark.statistics import LEVEL, RESAMPLES
from tbsd_core.cameras.sampling import orbit
from tbsd_core.commands.stages import assigned
from tbsd_core.experiment import versions
from tbsd_core.experiment.results import EVALUATION_ELEVATION, EVALUATION_VIEWS, VIEWS
from tbsd_core.experiment.stages import StagesConfig, default_stages, plain_stages, run_stages
from tbsd_core.priors.small_world.captions import parse_object
from tbsd_core.priors.small_world.learned import WEIGHTS
from tbsd_core.priors.small_world.world import render_truth
from tbsd_core.study.jobs import slug
from tbsd_core.study.table import table_row

RESULTS = Path(__file__).parent / "results"
SIDE, SHOWN_VIEWS, MAX_BYTES = 64, (0, 1, 3, 6), 30_000


def stages_of(label: str, prompt: str, prior: str, n_steps: int, seed: int) -> StagesConfig:
    """The stages of a row of the quality benchmark."""
    entry = CONFIGURATIONS[label]
    config = default_stages(prompt, entry.method, prior=prior, n_steps=n_steps, seed=seed)
    scales = default_stages(prompt, "tbsd", prior=prior, n_steps=n_steps)
    for name, value in entry.settings.items():
        for stage in ("nerf", "texture"):
            said = getattr(scales, stage).guidance.guidance_scale if value == TBSD_SCALE else value
            config = assigned(config, [f"{stage}.{name}={said}"])
    return config


def cell(label: str, prompt: str, prior: str, n_steps: int, seed: int, out: Path) -> dict[str, Any]:
    config = stages_of(label, prompt, prior, n_steps, seed)
    report = run_stages(config, out, (out / "stages.json").exists(), in_full=False)
    return table_row(
        label,
        prompt,
        (seed, seed),
        steps=n_steps,
        evaluations=report["evaluations"],
        seconds=sum(report["seconds"][name] for name in ("nerf", "mesh", "texture")),
        metrics={**report["metrics"]["texture"], "occupancy_iou": solid(out / "mesh.glb", prompt)},
    )


@cache
def weights_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(WEIGHTS.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def made_from(config: StagesConfig) -> str:
    """A digest of the settings of a cell and of the weights of the demo models."""
    settings = json.dumps(plain_stages(config), sort_keys=True)
    return hashlib.sha256(f"{settings}\n{weights_digest()}".encode()).hexdigest()[:16]


def key_of(label: str, prompt: str, seed: int, n_steps: int) -> str:
    return f"{label}, {prompt}, seed {seed}, {n_steps} steps"


def kept(path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The cells of committed results by key: what they were made from, and their rows."""
    if not path.exists():
        return {}
    report = json.loads(path.read_text(encoding="utf-8"))
    cells = report["dimensions"]["3d"]["cells"]
    rows = {key_of(row["method"], row["prompt"], row["seed"], row["steps"]): row for row in cells}
    return {key: (digest, rows[key]) for key, digest in report.get("made_from", {}).items()}


def goals(rows: list[dict[str, Any]]) -> str:
    """The median and the worst solid, and the sides of objects that have a front: means do not show them."""
    lines = ["| method | occupancy IoU: median | worst | mask IoU: mean | worst | view error of houses, in degrees |"]
    lines.append("|---" * 6 + "|")
    for label in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == label]
        solids, masks = ([row[name] for row in own] for name in ("occupancy_iou", "mask_iou"))
        houses = [f"{row['view_error']:.1f}" for row in own if row["prompt"].endswith("house")]
        numbers = (median(solids), min(solids), fmean(masks), min(masks))
        lines.append(f"| {label} | {' | '.join(f'{v:.3f}' for v in numbers)} | {', '.join(houses) or '-'} |")
    return "\n".join(lines) + "\n"


def sheet(methods: list[str], prompts: list[str], views: dict[tuple[str, str], Path]) -> Image.Image:
    """A row for each prompt: four views of the truth, then of each method."""
    sheet = Image.new("RGB", (SIDE * len(SHOWN_VIEWS) * (1 + len(methods)), SIDE * len(prompts)))
    for y, prompt in enumerate(prompts):
        known = parse_object(prompt)
        assert known is not None
        cameras = orbit(EVALUATION_VIEWS, EVALUATION_ELEVATION)
        truth = torch.cat(list(render_truth(*known, cameras, SIDE).images), -1).clamp(0, 1)
        strips = [Image.fromarray((truth * 255).byte().permute(1, 2, 0).numpy())]
        strips += [Image.open(views[label, prompt]).convert("RGB") for label in methods]
        for x, (strip, view) in enumerate(itertools.product(strips, SHOWN_VIEWS)):
            sheet.paste(strip.crop((view * SIDE, 0, (view + 1) * SIDE, SIDE)), (x * SIDE, y * SIDE))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=[REFERENCE, "SDS s, praise"], choices=list(CONFIGURATIONS))
    parser.add_argument("--split", default="heldout", choices=list(SPLITS))
    parser.add_argument("--prompts", nargs="+", metavar="PROMPT", help="of the split (default: all)")
    parser.add_argument("--prior", default="multiview")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=300, help="of NeRF and texture together")
    parser.add_argument("--out", type=Path, default=Path("output/staged_methods"))
    parser.add_argument("--sheet", type=Path, help="picture of the truth and of the methods, first seed")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    parser.add_argument("--finished", action="store_true", help="leave out cells that are not finished")
    parser.add_argument("--anew", action="store_true", help="make the cells that are in benchmarks/results again")
    a = parser.parse_args()
    torch.set_num_threads(1)
    rows, views, origins = [], {}, {}
    results = RESULTS / ("staged_methods" if a.prior == "multiview" else f"staged_methods_{a.prior}")
    before = {} if a.anew else kept(results.with_suffix(".json"))
    prompts = list(a.prompts or SPLITS[a.split])
    for prompt in prompts:
        for seed in a.seeds:
            for label in a.methods:
                folder = a.out / slug(f"{a.prior}_{a.steps}") / slug(f"{label}_{prompt}_{seed}")
                path, key = folder / "row.json", key_of(label, prompt, seed, a.steps)
                views.setdefault((label, prompt), folder / VIEWS)
                digest = made_from(stages_of(label, prompt, a.prior, a.steps, seed))
                if not path.exists() and before.get(key, ("", {}))[0] == digest:
                    rows.append(before[key][1])
                    origins[key] = digest
                    continue
                if not path.exists() and a.finished:
                    continue
                origins[key] = digest
                if not path.exists():
                    row = cell(label, prompt, a.prior, a.steps, seed, folder)
                    with atomic_path(path) as temporary:
                        text = json.dumps({"made_from": digest, "row": row}, indent=1)
                        temporary.write_text(text + "\n", encoding="utf-8")
                found = json.loads(path.read_text(encoding="utf-8"))
                if found["made_from"] != digest:
                    raise SystemExit(f"{folder} has other settings or weights. Remove it, or give another --out.")
                rows.append(found["row"])
                shown = ("identity_shape", "identity_material", "mask_iou", "occupancy_iou", "high_frequency_ratio")
                print(label, prompt, seed, {name: round(rows[-1][name], 3) for name in shown}, flush=True)
    report = {
        "split": a.split,
        "quick": False,
        "prior": a.prior,
        "reference": REFERENCE,
        "interval": f"{LEVEL:.0%}, two-stage bootstrap over prompts and their runs, {RESAMPLES} resamples, seed 0",
        "dimensions": {"3d": evaluate_dimension(rows)},
        "made_from": origins,
        "versions": versions(),
    }
    text = f"{markdown(report)}\n{goals(rows)}"
    print(text)
    if a.sheet is not None:
        if missing := [folder.parent for folder in views.values() if not folder.exists()]:
            raise SystemExit(f"--sheet shows pictures, but {missing[0]} has none: its numbers were kept. Add --anew.")
        save_small(sheet(a.methods, prompts, views), a.sheet, MAX_BYTES)
    if a.write:
        command = f"python -m benchmarks.staged_methods --steps {a.steps} --seeds {' '.join(map(str, a.seeds))} --write"
        command += f" --prior {a.prior} --split {a.split}"
        command += f" --methods {' '.join(json.dumps(label) for label in a.methods)}"
        command += " --prompts" + "".join(f' "{text}"' for text in a.prompts) if a.prompts else ""
        command += " --finished" if a.finished else ""
        for suffix, content in ((".json", json.dumps(report, indent=1) + "\n"), (".md", f"`{command}`\n\n{text}")):
            with atomic_path(results.with_suffix(suffix)) as path:
                path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
