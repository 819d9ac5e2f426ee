"""Material swaps on the small world, against ground truth: `nice -n 10 python -m benchmarks.edits [--split heldout]`.

True pictures of objects are edited into another material, from the same camera; the truth is the same object in that
material. Latents are edited, as in the papers. Methods that edit are compared with SDS that starts from the picture and
with TBSD that paints from nothing. Settings were chosen on one of the tuning swaps. A seed decides view, noise and
timesteps; the seeds of one swap run side by side. Each result is written to --out, and finished ones are skipped.
--meshes edits meshes: the truth is their texture, is painted over, and is seen from 12 sides. --begin mean or blurred
starts runs from the mean of the old colours, or from the old colours without their pattern, while the source stays the
true one. --write puts the table into benchmarks/results/edits.md (edits_meshes.md). --set and --label try other
settings of all methods named.

material: share with the right material (posterior above .5). silhouette: IoU of the outline with the true one.
background: mean change of colour outside the object, in 255ths, from the decoded source. patch distance: to the truth,
0 is perfect. The row "truth" is the truth itself, encoded and decoded. No edit of latents can exceed it: outline and
material are read from colours, and a pale object before a pale background has no clear outline.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.statistics import LEVEL, paired_difference
from tbsd_core.cameras.pose import Cameras
from tbsd_core.cameras.sampling import orbit
from tbsd_core.commands.options import with_assignments
from tbsd_core.experiment import Experiment, ExperimentConfig, MeshInput, default_config, make_scene, read_mesh
from tbsd_core.mesh.paint import start_from_colors
from tbsd_core.metrics import evaluate_images
from tbsd_core.priors.small_world import load_prior
from tbsd_core.priors.small_world.degrade import gaussian_blur
from tbsd_core.priors.small_world.world import render_truth, view_cameras
from tbsd_core.rng import named_generator
from tbsd_core.scenes import LatentImageScene, MeshTextureScene, Scene
from tbsd_core.scenes.picture_start import scene_of_latents

RESULTS = Path(__file__).parent / "results"
SIZE, STEPS, MESH_STEPS = 64, 40, 120
VIEWS, ELEVATION = 12, 20.0
NEAR = 5  # pixels: what is closer to the object is not background
RIGHT = 0.5
REFERENCE = "tbsd_edit"
# object, its material, the new one. No swap is in both; every object and every material is
SPLITS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "tuning": (
        ("house", "brick", "wooden"),
        ("mushroom", "dotted", "striped"),
        ("cube", "checkered", "marble"),
        ("torus", "wooden", "brick"),
        ("cone", "striped", "dotted"),
        ("crystal", "marble", "checkered"),
    ),
    "heldout": (
        ("sphere", "brick", "marble"),
        ("cylinder", "wooden", "checkered"),
        ("house", "marble", "striped"),
        ("mushroom", "brick", "wooden"),
        ("cube", "dotted", "brick"),
        ("torus", "striped", "marble"),
        ("cone", "wooden", "checkered"),
        ("crystal", "brick", "dotted"),
        ("sphere", "checkered", "wooden"),
        ("cylinder", "striped", "brick"),
        ("house", "dotted", "marble"),
        ("mushroom", "marble", "checkered"),
        ("cube", "wooden", "striped"),
        ("torus", "checkered", "dotted"),
        ("cone", "brick", "wooden"),
        ("crystal", "striped", "marble"),
    ),
}
TRUTH = "truth"
METHODS = ("tbsd_edit", "dds", "pds", "ssd", "sds", "nothing", TRUTH)  # nothing: TBSD from noise, or from grey
SHOWN = ("material", "silhouette", "background", "patch_distance")
BEGIN = ("source", "mean", "blurred")
BLUR = 12.0  # texels of 256: no pattern of any material is left
Swap = tuple[str, str, str]


def configured(method: str, swap: Swap, steps: int, seed: int, sets: list[str], mesh: bool) -> ExperimentConfig:
    """The preset of a method for one swap, which knows both materials by name."""
    shape, before, after = swap
    name = "tbsd" if method == "nothing" else method
    source = MeshInput(file=f"sample:{before} {shape}", keep_colors=method != "nothing") if mesh else None
    scene = "mesh_texture" if mesh else "latent"
    config = default_config(f"a {after} {shape}", scene, name, n_steps=steps, seed=seed, size=SIZE, mesh=source)
    described = replace(config.prompt, source=f"a {before} {shape}", view_dependent=mesh)
    config = replace(config, prompt=described)
    return config if method == "nothing" else with_assignments(config, sets)


def views(seeds: list[int]) -> Cameras:
    """One camera for each seed, anywhere around and up to 45 degrees above."""
    angles = torch.stack([torch.rand(2, generator=named_generator(seed, "view of an edit")) for seed in seeds])
    return view_cameras(angles[:, 0] * 360, angles[:, 1] * 45)


@torch.no_grad()
def measured(images: Tensor, before: Tensor, swap: Swap, cameras: Cameras) -> dict[str, float]:
    """Measures of pictures [B, 3, H, W] of one object; `before` are pictures of the source."""
    shape, _, after = swap
    found = evaluate_images(images, shape, after, cameras)
    near = F.max_pool2d(render_truth(shape, after, cameras, images.shape[-1]).mask, 2 * NEAR + 1, 1, NEAR)
    away = (near == 0).float()
    change = ((images - before).abs() * away).sum() / (3 * away.sum()).clamp(min=1)
    return {
        "material": float(found["identity_material"] > RIGHT),
        "silhouette": found["silhouette_iou"],
        "background": 255 * float(change),
        "patch_distance": found["patch_distance"],
    }


def pictures(method: str, swap: Swap, seeds: list[int], steps: int, sets: list[str], prior: Any) -> list[dict]:
    """A row for each seed."""
    cameras = views(seeds)
    if method == TRUTH:
        made, before = (render_truth(swap[0], material, cameras, SIZE).images for material in (swap[2], swap[1]))
        with torch.no_grad():
            made, before = (prior.decode(prior.encode(images)) for images in (made, before))
        return _rows(seeds, made, before, swap, cameras)
    config = configured(method, swap, steps, seeds[0], sets, mesh=False)
    before = render_truth(swap[0], swap[1], cameras, SIZE).images
    if method == "nothing":
        scene = LatentImageScene(replace(config.scene, n_images=len(seeds)))
    else:
        with torch.no_grad():
            scene = scene_of_latents(prior.encode(before), config.scene)
    experiment = Experiment(config, prior, scene=scene, seeds=[(seed, seed) for seed in seeds])
    for _ in experiment.steps():
        pass
    with torch.no_grad():
        made, before = (prior.decode(z) for z in (experiment.scene.latents, prior.encode(before)))
    return _rows(seeds, made, before, swap, cameras)


def _rows(seeds: list[int], made: Tensor, before: Tensor, swap: Swap, cameras: Cameras) -> list[dict]:
    rows = [slice(i, i + 1) for i in range(len(seeds))]
    return [
        {"seed": seed, **measured(made[row], before[row], swap, cameras[row])}
        for seed, row in zip(seeds, rows, strict=True)
    ]


def begun(config: ExperimentConfig, how: str) -> Scene:
    """The scene that a run on a mesh begins with."""
    if how == "source" or not config.mesh.keep_colors:
        return make_scene(config)
    mesh, grey = read_mesh(config.mesh), replace(config, mesh=replace(config.mesh, keep_colors=False))
    assert mesh.texture is not None
    texture = torch.from_numpy(mesh.texture).movedim(-1, 0)[None]
    mean = texture.mean((2, 3), keepdim=True).expand_as(texture)
    texture = gaussian_blur(texture, BLUR) if how == "blurred" else mean
    scene = make_scene(grey)
    assert isinstance(scene, MeshTextureScene)
    start_from_colors(scene, replace(mesh, texture=texture[0].movedim(0, -1).contiguous().numpy()))
    return scene


def meshes(
    method: str, swap: Swap, seeds: list[int], steps: int, sets: list[str], prior: Any, begin: str = "source"
) -> list[dict]:
    """A row for each seed: means over views from all around."""
    rows, cameras = [], orbit(VIEWS, ELEVATION)
    if method == TRUTH:
        shape, before, after = swap
        pair = (configured("sds", (shape, *m), steps, 0, [], mesh=True) for m in ((after, before), (before, after)))
        with torch.no_grad():
            made, was = (make_scene(config).render(cameras, SIZE, SIZE).rgb for config in pair)
        return [{"seed": seed, **measured(made, was, swap, cameras)} for seed in seeds]
    for seed in seeds:
        config = configured(method, swap, steps, seed, sets, mesh=True)
        start = make_scene(config)
        experiment = Experiment(config, prior, scene=begun(config, begin), source=start)
        with torch.no_grad():
            before = start.render(cameras, SIZE, SIZE).rgb.clone()
        for _ in experiment.steps():
            pass
        with torch.no_grad():
            made = experiment.scene.render(cameras, SIZE, SIZE).rgb
        rows.append({"seed": seed, **measured(made, before, swap, cameras)})
    return rows


def differences(rows: list[dict]) -> dict[str, dict[str, Any]]:
    """Each method minus the reference on the same swap and seed, by method and measure."""

    def values(method: str, name: str) -> Mapping[tuple, float]:
        return {(row["swap"], row["seed"]): row[name] for row in rows if row["method"] == method}

    first = reference(rows)
    others = [label for label in dict.fromkeys(row["method"] for row in rows) if label != first]
    return {m: {n: paired_difference(values(m, n), values(first, n)) for n in SHOWN} for m in others}


def reference(rows: list[dict]) -> str:
    """The method that others are compared with: REFERENCE, or the first if that has not run."""
    labels = [row["method"] for row in rows]
    return REFERENCE if REFERENCE in labels else labels[0]


def table(rows: list[dict]) -> str:
    """Means of each method, and differences to the reference with their intervals."""
    heads = " | ".join(name.replace("_", " ") for name in SHOWN)
    lines = [f"| method | runs | {heads} |", "|---" * (len(SHOWN) + 2) + "|"]
    for label in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == label]
        cells = " | ".join(f"{mean(row[name] for row in own):.3f}" for name in SHOWN)
        lines.append(f"| {label} | {len(own)} | {cells} |")
    found = differences(rows)
    if found:
        first = reference(rows)
        lines += ["", f"Method minus {first} on the same swap and seed, {LEVEL:.0%} intervals over swaps:", ""]
        lines += [f"| method | {heads} |", "|---" * (len(SHOWN) + 1) + "|"]
        for label, by_name in found.items():
            cells = []
            for d in by_name.values():
                text = "-" if d is None else f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]"
                cells.append(f"**{text}**" if d and (d["low"] > 0 or d["high"] < 0) else text)
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="heldout", choices=list(SPLITS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=(*METHODS, "tbsd"))
    parser.add_argument("--pairs", type=int, help="the first of the split (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}, on meshes {MESH_STEPS}")
    parser.add_argument("--meshes", action="store_true")
    parser.add_argument("--begin", default=BEGIN[0], choices=BEGIN, help="of meshes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--label", default="", help="of the runs with these settings")
    parser.add_argument("--out", type=Path, default=Path("output/edits"))
    parser.add_argument("--write", action="store_true", help="into benchmarks/results")
    a = parser.parse_args()
    torch.set_num_threads(1)
    make, kind = (partial(meshes, begin=a.begin), "meshes") if a.meshes else (pictures, "pictures")
    a.label += "" if a.begin == BEGIN[0] else f"_{a.begin}"
    steps = a.steps or (MESH_STEPS if a.meshes else STEPS)
    prior, rows = load_prior("learned"), []
    for swap in SPLITS[a.split][: a.pairs]:
        for method in a.methods:
            label, words = method + a.label, " ".join(swap)
            stem = f"{kind}_{steps}_{words.replace(' ', '_')}_{label}"
            paths = {seed: a.out / f"{stem}_{seed}.json" for seed in a.seeds}
            missing = [seed for seed, path in paths.items() if not path.exists()]
            for row in make(method, swap, missing, steps, a.set, prior) if missing else []:
                with atomic_path(paths[row["seed"]]) as temporary:
                    temporary.write_text(json.dumps(row) + "\n", encoding="utf-8")
            own = [json.loads(path.read_text(encoding="utf-8")) for path in paths.values()]
            rows += [{"method": label, "swap": words, **row} for row in own]
            print(words, label, {n: round(mean(row[n] for row in own), 3) for n in SHOWN}, flush=True)
    print(table(rows))
    if a.write:
        pairs = f" --pairs {a.pairs}" if a.pairs else ""
        command = f"nice -n 10 python -m benchmarks.edits{' --meshes' if a.meshes else ''} --split {a.split}{pairs}"
        command += f" --begin {a.begin}" if a.begin != BEGIN[0] else ""
        command += f" --methods {' '.join(a.methods)}" if a.methods != list(METHODS) else ""
        command += f" --seeds {' '.join(map(str, a.seeds))} --steps {steps} --write"
        stem = ("edits_meshes" if a.meshes else "edits") + ("" if a.begin == BEGIN[0] else f"_{a.begin}")
        for suffix, text in ((".json", json.dumps(rows, indent=1)), (".md", f"`{command}`\n\n{table(rows)}")):
            with atomic_path(RESULTS / f"{stem}{suffix}") as path:
                path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
