"""The demo model with and without its depth ControlNet: `python -m benchmarks.depth_control [--part pictures meshes]`.

Meshes of the small world are turned away from the front that the demo model's view words mean, so that the model's
front is not the mesh's front.

- pictures: the model paints each view of a mesh at once, as TEXTure (arXiv:2302.01721) does: DDIM samples with the
  words of the view, with the depth of the mesh as hint and without.
- meshes: the mesh itself is painted by SDS in a short run, without a light of its own (scene.shading none).

Both have the same draws. Errors of the pictures against the geometry in the same views, 0 at best:

- silhouette: 1 - IoU of the pixels that differ from the background with the mesh (of a mesh: of the pixels on it);
- distance: mean distance in pixels from changes of colour to the nearest edge of the geometry (an outline, a step in
  depth or a crease), weighted by the change; of a mesh inside its outline, which is right in any case;
- edge: 1 - the correlation of changes of colour with edges of the geometry, both blurred by a pixel: it also counts
  edges that were not painted.

Runs that are finished in --json are skipped. Intervals belong to paired differences, with prompts and seeds resampled
(tbsd_core.benchmark.statistics).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tbsd_core.atomic import atomic_path
from tbsd_core.benchmark.statistics import paired_difference
from tbsd_core.cameras.pose import Cameras
from tbsd_core.cameras.rays import ray_lengths
from tbsd_core.cameras.sampling import orbit, view_name
from tbsd_core.configuration import replaced
from tbsd_core.experiment import Experiment, MeshInput, default_config, read_prior
from tbsd_core.experiment.control import add_control
from tbsd_core.experiment.start import make_scene
from tbsd_core.media import write_png
from tbsd_core.mesh import PlacementConfig
from tbsd_core.optim.hints import ControlConfig, view_hints
from tbsd_core.priors.diffusers import sample_ddim
from tbsd_core.priors.small_world.degrade import gaussian_blur
from tbsd_core.priors.small_world.world import BACKGROUND
from tbsd_core.scenes import RenderOutput

CASES = (  # prompt, degrees that the mesh is turned by
    ("a brick house", 45.0),
    ("a wooden torus", 60.0),
    ("a wooden cube", 30.0),
    ("a dotted crystal", 20.0),
)
VIEWS, ELEVATION, SIZE = 6, 25.0, 64
SCALE, SAMPLE_STEPS = 3.0, 15
MESH_STEPS, VIEWS_PER_STEP = 30, 2
DIFFERS = 0.12  # of a colour from the background's, in the largest channel, from which a pixel is seen as object
STEP, CREASE = 0.1, 0.75  # world units of depth, and cosine between normals, that are an edge between two pixels
ERRORS = ("silhouette", "distance", "edge")


def configured(prompt: str, turn: float, seed: int, kind: str):
    mesh = MeshInput(file=f"sample:{prompt.split()[-1]}", placement=PlacementConfig(turn=turn))
    config = default_config(prompt, "mesh_texture", "sds", n_steps=MESH_STEPS, seed=seed, mesh=mesh)
    config = replaced(replaced(config, "scene.shading", "none"), "optim.views_per_step", VIEWS_PER_STEP)
    return replace(config, control=ControlConfig(kind=kind))


def geometric_edges(render: RenderOutput, cameras: Cameras) -> Tensor:
    """[B, H, W] bool: pixels at an outline, a step in depth or a crease."""
    assert render.normal is not None
    solid = render.opacity[:, 0] > 0.5
    depth = (render.depth / ray_lengths(cameras, *render.depth.shape[-2:]))[:, 0]
    found = torch.zeros_like(solid)
    for axis in (-1, -2):
        n = solid.shape[axis]
        a, b = (solid.narrow(axis, start, n - 1) for start in (0, 1))
        z_a, z_b = (depth.narrow(axis, start, n - 1) for start in (0, 1))
        n_a, n_b = (render.normal.narrow(axis, start, n - 1) for start in (0, 1))
        edge = (a != b) | (a & b & (((z_a - z_b).abs() > STEP) | ((n_a * n_b).sum(1) < CREASE)))
        for start in (0, 1):
            found.narrow(axis, start, n - 1).logical_or_(edge)
    return found


def distances(edges: Tensor) -> Tensor:
    """[B, H, W] distance in pixels of every pixel to the nearest true one of its picture."""
    height, width = edges.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], -1).float()
    return torch.stack([torch.cdist(places, places[e.flatten()]).amin(1).view(height, width) for e in edges])


def errors(images: Tensor, render: RenderOutput, cameras: Cameras, where: Tensor) -> dict[str, float]:
    """The errors of pictures [B, 3, H, W] against the geometry of `render`, in the pixels `where` [B, H, W]."""
    solid = (render.opacity[:, 0] > 0.5) & where
    background = torch.tensor(BACKGROUND).view(1, 3, 1, 1)
    seen = ((images - background).abs().amax(1) > DIFFERS) & where
    iou = (seen & solid).sum((1, 2)) / (seen | solid).sum((1, 2))
    gray = images.mean(1)
    change = (F.pad(gray.diff(dim=-1).abs(), (0, 1)) + F.pad(gray.diff(dim=-2).abs(), (0, 0, 0, 1))) * where
    edges = geometric_edges(render, cameras)
    far = (change * distances(edges)).sum((1, 2)) / change.sum((1, 2)).clamp(min=1e-6)
    blurred = (gaussian_blur(x[:, None], 1.0)[:, 0] for x in (change, edges.float()))
    pairs = [torch.stack([x[w], y[w]]) for x, y, w in zip(*blurred, where, strict=True)]
    correlation = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]).nan_to_num()
    return {
        "silhouette": float(1 - iou.mean()),
        "distance": float(far.mean()),
        "edge": float(1 - correlation.mean()),
    }


@torch.no_grad()
def pictures(prompt: str, turn: float, seed: int, kind: str, prior: Any) -> tuple[dict[str, float], Tensor]:
    config, cameras = configured(prompt, turn, seed, "depth"), orbit(VIEWS, ELEVATION)
    scene = make_scene(config)
    render = scene.render(cameras, SIZE, SIZE, with_normal=True)
    add_control(config, prior)
    hints = None if kind == "none" else view_hints(config.control, scene, cameras, render, SIZE).maps
    names = [view_name(float(a), float(e)) for a, e in zip(cameras.azimuth, cameras.elevation, strict=True)]
    texts = [f"{prompt}, {name} view" for name in names]
    images = sample_ddim(prior, texts, SCALE, SAMPLE_STEPS, seed, hints=hints)
    return errors(images, render, cameras, torch.ones(VIEWS, SIZE, SIZE, dtype=torch.bool)), images


def meshes(prompt: str, turn: float, seed: int, kind: str, prior: Any) -> tuple[dict[str, float], Tensor]:
    experiment, cameras = Experiment(configured(prompt, turn, seed, kind), prior), orbit(VIEWS, ELEVATION)
    for _ in experiment.steps():
        pass
    with torch.no_grad():
        render = experiment.scene.render(cameras, SIZE, SIZE, with_normal=True)
    inside = -F.max_pool2d(-(render.opacity > 0.5).float(), 3, 1, 1)[:, 0] > 0.5
    return errors(render.rgb, render, cameras, inside), render.rgb


PARTS: dict[str, Callable[..., tuple[dict[str, float], Tensor]]] = {"pictures": pictures, "meshes": meshes}


def table(rows: Sequence[dict], part: str) -> str:
    """The report of a part as Markdown."""
    lines = [f"## {part}", "", "| error | without | with depth | difference | 95 % interval | pairs |"]
    lines.append("|---|---|---|---|---|---|")
    mine = [r for r in rows if r["part"] == part]
    for name in ERRORS:
        a, b = (
            {(f"{r['prompt']} {r['turn']}", r["seed"]): r[name] for r in mine if r["kind"] == kind}
            for kind in ("none", "depth")
        )
        pair = paired_difference(b, a)
        if pair is not None:
            means = " | ".join(f"{sum(x.values()) / len(x):.4f}" for x in (a, b))
            interval = f"{pair['low']:+.4f} to {pair['high']:+.4f}"
            lines.append(f"| {name} | {means} | {pair['mean']:+.4f} | {interval} | {pair['n']} |")
    lines += ["", "| case | seed | kind | silhouette | distance | edge |", "|---|---|---|---|---|---|"]
    for r in mine:
        case = f"{r['prompt']}, turned by {r['turn']:.0f} | {r['seed']} | {r['kind']}"
        lines.append(f"| {case} | {r['silhouette']:.4f} | {r['distance']:.3f} | {r['edge']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--json", type=Path, default=Path("output/depth_control.json"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for the views of each run")
    a = parser.parse_args()
    rows = json.loads(a.json.read_text(encoding="utf-8")) if a.json.exists() else []
    prior = read_prior(configured(*CASES[0], 0, "none"))
    for part in a.part:
        for seed, (prompt, turn), kind in ((s, c, k) for s in a.seeds for c in CASES for k in ("none", "depth")):
            key = dict(part=part, prompt=prompt, turn=turn, seed=seed, kind=kind)
            if any(key.items() <= row.items() for row in rows):
                continue
            found, views = PARTS[part](prompt, turn, seed, kind, prior)
            rows.append({**key, **found})
            with atomic_path(a.json) as temporary:
                temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(rows[-1], flush=True)
            if a.pictures:
                a.pictures.mkdir(parents=True, exist_ok=True)
                name = f"{part}_{prompt.replace(' ', '_')}_{seed}_{kind}.png"
                write_png(torch.cat(list(views), -1), a.pictures / name)
    text = "\n\n".join(table(rows, part) for part in a.part)
    if a.markdown:
        command = f"python -m benchmarks.depth_control --part {' '.join(a.part)}"
        head = f"# The demo model with and without its depth ControlNet\n\n`{command}`\n"
        a.markdown.write_text(f"{head}\n{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
