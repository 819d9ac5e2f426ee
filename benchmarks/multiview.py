"""Whether the multi-view prior helps: `python -m benchmarks.multiview samples|compare`.

samples: groups of four views by either prior, against the truth from the same cameras, as a table and a contact sheet:
a row for each prompt with the truth, the learned prior's views (told in words), and the multi-view prior's.
compare: two reports of `python -m tbsd_core benchmark quality`, the same prompts, seeds and methods on either prior,
as one table with paired differences.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.configurations import SPLITS
from tbsd_core.benchmark.statistics import paired_difference
from tbsd_core.cameras.sampling import view_name
from tbsd_core.media import write_strip
from tbsd_core.metrics.multiview import view_errors
from tbsd_core.metrics.small_world import evaluate_images
from tbsd_core.priors.diffusers import sample_ddim
from tbsd_core.priors.small_world import MULTIVIEW
from tbsd_core.priors.small_world.captions import parse_object
from tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior, load_multiview_prior
from tbsd_core.priors.small_world.world import render_truth, view_cameras
from tbsd_core.prompts.texts import with_view

STEPS, SCALE = 25, 3.0  # as in learned_prior.py
MEASURES = {  # of a report's cells: their names, and which is better
    "silhouette_iou": "silhouette IoU (higher)",
    "occupancy_iou": "occupancy IoU (higher)",
    "view_error": "view error in degrees (lower)",
    "janus": "Janus share (lower)",
    "high_frequency_ratio": "fine detail (1 is right)",
    "saturation_error": "saturation error (lower)",
}
RIGHT = 0.5


def sampled(prior, prompt: str, angles: Sequence[tuple[float, float]], seed: int, grouped: bool) -> Tensor:
    """Views [V, 3, 64, 64] of a prompt; without groups each gets its view in words and is drawn alone."""
    texts = [prompt if grouped else with_view(prompt, view_name(*angle)) for angle in angles]
    return sample_ddim(prior, texts, SCALE, STEPS, seed, angles=angles if grouped else None)


def samples(arguments: argparse.Namespace) -> str:
    """Sample, write the sheet, and return the table."""
    priors = {"learned": load_learned_prior(), MULTIVIEW: load_multiview_prior(arguments.weights)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in priors}
    pictures = []
    for number, prompt in enumerate(SPLITS["heldout"][: arguments.prompts]):
        named = parse_object(prompt)
        assert named is not None
        angles = [(15.0 + 90.0 * i + 11.0 * number, arguments.elevation) for i in range(4)]
        cameras = view_cameras(*torch.tensor(angles).T)
        pictures.append(render_truth(*named, cameras).images)
        for name, prior in priors.items():
            for seed in range(arguments.seeds):
                views = sampled(prior, prompt, angles, seed, name == MULTIVIEW)
                found[name].append(evaluate_images(views, *named, cameras) | view_errors(views, *named, cameras))
                if seed == 0:
                    pictures.append(views)
    if arguments.sheet is not None:
        write_strip(torch.cat(pictures), arguments.sheet, 12)
    names = ("identity_shape", "identity_material", "silhouette_iou", "view_error", "janus", "high_frequency_ratio")
    lines = [f"| groups of four views | {' | '.join(n.replace('_', ' ') for n in names)} |", "|---" * 7 + "|"]
    for name, rows in found.items():
        lines.append(f"| {name} ({len(rows)}) | {' | '.join(f'{fmean(r[n] for r in rows):.3f}' for n in names)} |")
    return "\n".join(lines)


def cells_of(report: dict[str, Any]) -> dict[str, dict[tuple, dict[str, Any]]]:
    """Finished 3D runs by method, then by prompt and seeds."""
    found: dict[str, dict[tuple, dict[str, Any]]] = {}
    for cell in report["dimensions"]["3d"]["cells"]:
        if not cell["error"]:
            key = (cell["prompt"], cell["seed"], cell["timestep_seed"])
            found.setdefault(cell["method"], {})[key] = cell
    return found


def is_wrong(cell: dict[str, Any]) -> bool:
    """Whether it shows another object or material than the prompt names."""
    return not all((cell[name] or 0) >= RIGHT for name in ("identity_shape", "identity_material"))


def compare(first: dict[str, Any], second: dict[str, Any]) -> str:
    """One table of the runs that both reports have, by method and prior, and the paired differences."""
    a, b = cells_of(first), cells_of(second)
    lines = [
        f"| method | prior | wrong identity | {' | '.join(MEASURES.values())} |",
        "|---" * (3 + len(MEASURES)) + "|",
    ]
    for method in (m for m in b if m in a):
        shared = [key for key in b[method] if key in a[method]]
        for report, cells in ((first, a[method]), (second, b[method])):
            rows = [cells[key] for key in shared]
            means = " | ".join(f"{fmean(row[name] for row in rows):.3f}" for name in MEASURES)
            lines.append(f"| {method} | {report['prior']} | {sum(map(is_wrong, rows))}/{len(rows)} | {means} |")
        differences = []
        for name in MEASURES:
            new, old = ({k: c[k].get(name, math.nan) for k in shared} for c in (b[method], a[method]))
            d = paired_difference(new, old)
            differences.append("-" if d is None else f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]")
        lines.append(f"| {method} | difference | | {' | '.join(differences)} |")
    lines += ["", "| method | prompt, seed | prior | object | material | occupancy IoU | view error | Janus |"]
    lines.append("|---" * 8 + "|")
    for method in (m for m in b if m in a):
        for key in (key for key in b[method] if key in a[method]):
            for report, cells in ((first, a[method]), (second, b[method])):
                cell = cells[key]
                names = ("identity_shape", "identity_material", "occupancy_iou", "view_error", "janus")
                values = " | ".join(f"{cell[name]:.2f}" for name in names)
                lines.append(f"| {method} | {key[0]}, {key[1]} | {report['prior']} | {values} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("samples")
    one.add_argument("--weights", type=Path, default=WEIGHTS, help="pipeline folder with the multi-view parts")
    one.add_argument("--elevation", type=float, default=20.0)
    one.add_argument("--prompts", type=int, help="only so many of the held-out ones")
    one.add_argument("--seeds", type=int, default=1, help="groups of each prompt")
    one.add_argument("--sheet", type=Path, help="contact sheet of the first seed")
    two = actions.add_parser("compare")
    two.add_argument("reports", type=Path, nargs=2, help="JSON of the learned and of the multi-view prior")
    for action in (one, two):
        action.add_argument("--markdown", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    if arguments.action == "samples":
        table = samples(arguments)
    else:
        table = compare(*(json.loads(path.read_text(encoding="utf-8")) for path in arguments.reports))
    print(table)
    if arguments.markdown is not None:
        with atomic_path(arguments.markdown) as path:
            path.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
