"""Repair and sharpen against the truth of the small world: `python -m benchmarks.repairs [--task repair sharpen]`.

Meshes of held-out pairs of object and material have their true texture. For repair, the part that the front view does
not show is erased (grey), and a run continues the rest into it. For sharpen, all of it is blurred, and a run makes it
sharp again. Both use the presets of their tasks. Views are measured with the true cameras.

repair, on five views of the back:
- identity: posterior of the right material (1 is certain), of the start (erased) and of the result;
- patch distance to the truth, of the result and of pictures that the prior itself samples of the back;
- step: mean difference of colour between a locked texel and a free one beside it, in 255ths, and the same of the truth;
- locked: the largest change of a locked texel, in 255ths.

sharpen, on eight views all around, of the start, of unsharp masking (radius as the blur, amount 1.5) and of the result:
- detail: energy of fine detail relative to the truth (1 is right);
- patch distance to the truth; identity: posterior of the right material;
- shift: how far the mean colour of the object has moved from the start's, in 255ths, in the channel that moved most.

Runs that are finished in --json are skipped. Intervals belong to paired differences, with pairs and seeds resampled
(tbsd_core.benchmark.statistics).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.configurations import SPLITS
from tbsd_core.benchmark.statistics import paired_difference
from tbsd_core.cameras.pose import Cameras
from tbsd_core.cameras.sampling import orbit
from tbsd_core.configuration import with_setting
from tbsd_core.experiment import Experiment, ExperimentConfig, MeshInput, default_config, read_prior
from tbsd_core.media import write_png
from tbsd_core.mesh import Mesh, PlacementConfig, texture_scene
from tbsd_core.mesh.mixed import mixed_texture
from tbsd_core.mesh.paint import start_from_colors
from tbsd_core.metrics import evaluate_images
from tbsd_core.priors.diffusers import sample_ddim
from tbsd_core.regions import LOCKED, everything, inverted, limited, seen_region
from tbsd_core.regions.texels import texels
from tbsd_core.sample_textures import FRONT, blurred, textured_sample
from tbsd_core.scenes import MeshTextureScene
from tbsd_core.scenes.kept import WEIGHT
from tbsd_core.scenes.mesh_texture import TEXTURE

PAIRS = SPLITS["heldout"][:8]
CUT, SIZE = 64, 64  # grid points that the mesh is cut from, pixels of a view
BACK = Cameras(*(torch.tensor(x) for x in ([120.0, 150.0, 180.0, 210.0, 240.0], [20.0] * 5, [3.0] * 5, [36.0] * 5)))
AROUND = orbit(8, 20.0)
UNSHARP = 1.5
BORDER = 8.0  # texels, as in the template of repair
SCALE, SAMPLE_STEPS = 3.0, 25  # of the prior's own pictures, as in tbsd_core.benchmark.texture
MEASURES = {
    "repair": ("identity", "distance", "distance_ratio", "step", "locked"),
    "sharpen": ("detail", "distance", "identity", "shift"),
}
KINDS = {"repair": ("start", "result"), "sharpen": ("start", "unsharp", "result")}


def mesh_of(prompt: str, fault: str = "none") -> Mesh:
    """The object with the base colours of its material as its texture."""
    material, shape = prompt.split()[1:]
    return textured_sample(shape, material, fault, CUT)


def scene_of(mesh: Mesh, config: ExperimentConfig) -> MeshTextureScene:
    """As it stands in the small world, in its own colours."""
    scene = texture_scene(mesh, config.scene, PlacementConfig(radius=None))
    start_from_colors(scene, mesh)
    return scene


@torch.no_grad()
def views(scene: MeshTextureScene, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, SIZE, SIZE], and where they show nothing but the object [B, 1, SIZE, SIZE]."""
    render = scene.render(cameras, SIZE, SIZE)
    return render.rgb, render.opacity > 0.99


@torch.no_grad()
def showing(scene: MeshTextureScene, texture: Tensor) -> MeshTextureScene:
    """The scene, which shows a texture [H, W, 3] in [0, 1] and nothing else."""
    copy = limited(scene, everything(scene))
    colors = (texture.clamp(0, 1) * 255).round().to(torch.uint8)
    copy.attach({**copy.attached, TEXTURE: colors, WEIGHT: torch.zeros(colors.shape[:2])})
    assert isinstance(copy, MeshTextureScene)
    return copy


def config_of(prompt: str, task: str, seed: int, n_steps: int, assignments: Sequence[str]) -> ExperimentConfig:
    mesh = MeshInput(file=f"sample:{prompt.split()[-1]}")
    config = default_config(prompt, "mesh_texture", n_steps=n_steps, seed=seed, mesh=mesh, task=task)
    for text in assignments:
        config = with_setting(config, *text.split("=", 1))
    return config


def trained(config: ExperimentConfig, prior: Any, scene: MeshTextureScene) -> MeshTextureScene:
    experiment = Experiment(config, prior, scene=scene)
    for _ in experiment.steps():
        pass
    return scene


@lru_cache(maxsize=8)
def own_distance(prompt: str, modifier: str, prior: Any) -> float:
    """Patch distance of pictures of the back that the prior samples."""
    material, shape = prompt.split()[1:]
    pictures = sample_ddim(prior, [f"{prompt}, back view, {modifier}"] * len(BACK), SCALE, SAMPLE_STEPS, seed=0)
    return evaluate_images(pictures, shape, material)["patch_distance"]


def steps_across(texture: Tensor, weight: Tensor, on_surface: Tensor) -> float:
    """Mean difference of colour between locked texels and free ones beside them, in 255ths."""
    found = []
    for axis in (0, 1):
        n = texture.shape[axis]
        a, b = ((weight > 0).narrow(axis, s, n - 1) for s in (0, 1))
        on_a, on_b = (on_surface.narrow(axis, s, n - 1) for s in (0, 1))
        difference = (texture.narrow(axis, 1, n - 1) - texture.narrow(axis, 0, n - 1)).abs().mean(-1)
        found.append(difference[(a != b) & on_a & on_b])
    return 255 * float(torch.cat(found).mean())


def repair(prompt: str, config: ExperimentConfig, prior: Any) -> tuple[dict[str, dict[str, float]], list[Tensor]]:
    material, shape = prompt.split()[1:]
    mesh = mesh_of(prompt)
    truth = torch.from_numpy(mesh.texture)
    erased = mesh_of(prompt, "front only")
    begun = scene_of(erased, config)
    scene = limited(begun, replace(inverted(seen_region(begun, FRONT)), border=BORDER, old=LOCKED))
    weight, on_surface = scene.attached[WEIGHT], texels(begun).known
    was = (torch.from_numpy(erased.texture) * 255).round() / 255
    own = own_distance(prompt, config.prompt.target_modifier, prior)
    rows, pictures = {}, []
    for kind in KINDS["repair"]:
        if kind == "result":
            trained(config, prior, scene)
        texture = torch.from_numpy(mixed_texture(scene)[0])
        picture, _ = views(scene, BACK)
        measured = evaluate_images(picture, shape, material, BACK)
        rows[kind] = {
            "identity": measured["identity_material"],
            "distance": measured["patch_distance"],
            "distance_ratio": measured["patch_distance"] / own,
            "step": steps_across(texture, weight, on_surface),
            "step_of_truth": steps_across(truth, weight, on_surface),
            "locked": 255 * float((texture - was).abs()[weight == 0].max()),
        }
        pictures.append(picture)
    return rows, pictures


def sharpen(prompt: str, config: ExperimentConfig, prior: Any) -> tuple[dict[str, dict[str, float]], list[Tensor]]:
    material, shape = prompt.split()[1:]
    mesh = mesh_of(prompt, "blurry")
    start = torch.from_numpy(mesh.texture)
    begun = scene_of(mesh, config)
    result = trained(config, prior, limited(begun, everything(begun)))
    unsharp = start + UNSHARP * (start - torch.from_numpy(blurred(mesh).texture))
    rows, pictures, mean = {}, [], None
    for kind, scene in zip(KINDS["sharpen"], (showing(begun, start), showing(begun, unsharp), result), strict=True):
        picture, inside = views(scene, AROUND)
        measured = evaluate_images(picture, shape, material, AROUND)
        now = (picture * inside).sum((0, 2, 3)) / inside.sum()
        mean = now if mean is None else mean
        rows[kind] = {
            "detail": measured["high_frequency_ratio"],
            "distance": measured["patch_distance"],
            "identity": measured["identity_material"],
            "shift": 255 * float((now - mean).abs().max()),
        }
        pictures.append(picture)
    return rows, pictures


TASKS: dict[str, Callable[..., tuple[dict[str, dict[str, float]], list[Tensor]]]] = {
    "repair": repair,
    "sharpen": sharpen,
}


def table(rows: Sequence[dict], task: str) -> str:
    """The report of a task as Markdown: means, and paired differences of the result to the others."""
    mine = [row for row in rows if row["task"] == task]
    names, kinds = MEASURES[task], KINDS[task]
    lines = [f"## {task}", "", f"{len(mine)} runs of {mine[0]['steps']} steps.", ""] if mine else [f"## {task}", ""]
    lines += [f"| measure | {' | '.join(kinds)} |", f"|---|{'---|' * len(kinds)}"]
    for name in names:
        means = [sum(r[kind][name] for r in mine) / max(1, len(mine)) for kind in kinds]
        lines.append(f"| {name} | {' | '.join(f'{m:.3f}' for m in means)} |")
    if task == "repair" and mine:
        lines.append(f"| step of the truth | | {sum(r['result']['step_of_truth'] for r in mine) / len(mine):.3f} |")
    lines += ["", "| result against | measure | difference | 95 % interval | runs |", "|---|---|---|---|---|"]
    for kind in kinds[:-1]:
        for name in names:
            result, other = ({(r["prompt"], r["seed"]): r[k][name] for r in mine} for k in ("result", kind))
            pair = paired_difference(result, other)
            if pair is not None:
                interval = f"{pair['low']:+.3f} to {pair['high']:+.3f}"
                lines.append(f"| {kind} | {name} | {pair['mean']:+.3f} | {interval} | {pair['n']} |")
    lines += ["", f"| prompt | seed | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for row in mine:
        cells = " | ".join(f"{row['start'][n]:.3f} to {row['result'][n]:.3f}" for n in names)
        lines.append(f"| {row['prompt']} | {row['seed']} | {cells} |")
    return "\n".join(lines)


def report(rows: Sequence[dict], a: argparse.Namespace) -> str:
    """All results so far, with the command that makes and continues them."""
    extra = "".join(f" --set {text}" for text in a.set)
    command = f"python -m benchmarks.repairs --steps {a.steps}{extra}"
    mine = [row for row in rows if row["steps"] == a.steps and row["set"] == a.set]
    wanted = {(task, prompt, seed) for task in a.task for prompt in a.pairs for seed in a.seeds}
    n = len(wanted & {(row["task"], row["prompt"], row["seed"]) for row in mine})
    head = f"# Repair and sharpen against the truth\n\n`{command}`\n\n{n} of {len(wanted)} runs are done; the same "
    head += "command with the same --json does the others.\n"
    return "\n\n".join([head, *(table(mine, task) for task in a.task)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), help="of the small world, such as 'a brick house'")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every run")
    parser.add_argument("--json", type=Path, default=Path("output/repairs.json"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for the views of each run, one kind below the other")
    a = parser.parse_args()
    rows = json.loads(a.json.read_text(encoding="utf-8")) if a.json.exists() else []
    prior = read_prior(config_of(a.pairs[0], a.task[0], 0, 1, ()))
    for seed, prompt, task in ((s, p, t) for s in a.seeds for p in a.pairs for t in a.task):
        key = dict(task=task, prompt=prompt, seed=seed, steps=a.steps, set=a.set)
        if any(key.items() <= row.items() for row in rows):
            continue
        began = time.perf_counter()
        found, pictures = TASKS[task](prompt, config_of(prompt, task, seed, a.steps, a.set), prior)
        rows.append({**key, **found, "seconds": round(time.perf_counter() - began, 1)})
        with atomic_path(a.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(rows[-1], flush=True)
        if a.pictures:
            a.pictures.mkdir(parents=True, exist_ok=True)
            name = f"{task}_{prompt.replace(' ', '_')}_{seed}.png"
            write_png(torch.cat([torch.cat(list(x), -1) for x in pictures], -2), a.pictures / name)
        if a.markdown:
            a.markdown.write_text(report(rows, a), encoding="utf-8")
    print(report(rows, a))


if __name__ == "__main__":
    main()
