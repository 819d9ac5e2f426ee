"""Pictures of the help pages that need no ComfyUI: `python -m benchmarks.help_pictures [NAME ...]`.

Written to web/docs/images as small WebPs, from runs on the small world with its presets, from
renders of its objects, and from the thumbnails of the analysis templates (benchmarks/thumbnails.py).
The pictures of panels and nodes come from benchmarks/help_screenshots.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from benchmarks.multiview import sampled
from benchmarks.thumbnails import fitted, save_small
from tbsd_core.cameras.sampling import CAMERA_PRESETS, orbit, sample_cameras
from tbsd_core.configuration import with_setting
from tbsd_core.experiment import Experiment, MeshInput, default_config, make_scene, pictures
from tbsd_core.grid import labelled_grid
from tbsd_core.guidance import METHODS, TimestepConfig
from tbsd_core.guidance.timesteps import timestep_range
from tbsd_core.media import to_uint8
from tbsd_core.mesh import PlacementConfig, textured_mesh
from tbsd_core.mesh.paint import remember_texture, start_from_colors, texture_scene
from tbsd_core.metrics.image_stats import image_statistics
from tbsd_core.optim import ReferenceConfig, framed
from tbsd_core.optim.hints import MAPS, ControlConfig, view_hints
from tbsd_core.priors.diffusers import sample_ddim
from tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior, load_multiview_prior
from tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_core.priors.small_world.world import render_truth
from tbsd_core.regions import inverted, preview, seen_region
from tbsd_core.sample_images import sample_image
from tbsd_core.sample_meshes import sample_mesh
from tbsd_core.sample_textures import textured_sample
from tbsd_core.scenes import LatentImageScene, MeshTextureConfig, NeRFScene
from tbsd_core.scenes.base import Scene
from tbsd_core.scenes.picture_start import scene_of_latents
from tests.hosts import ROOT

FOLDER = ROOT / "web" / "docs" / "images"
WIDTH, HEIGHT = 360, 300  # pixels, at most: the help panel is about as wide
MAX_BYTES = 7_000
PROMPTS = ("a wooden house", "a striped torus", "a brick mushroom")  # nothing was tuned on these
EDITS = ("dds", "pds", "ssd", "tbsd_edit")
PRAISE = "sharp, detailed, high quality"
FAULTS = "blurry, pixelated, malformed"

# rows of the picture of a method: label, method, settings that differ from the preset
SDS = ("SDS 6", "sds", ())
SDS_PIXELS = ("SDS 6", "sds", ("scene:image",))
LORA = ("guidance.lora.lr=0.01",)
METHOD_ROWS: dict[str, Sequence[tuple[str, str, tuple[str, ...]]]] = {
    "sds": (SDS, ("SDS 100", "sds", ("guidance.guidance_scale=100",))),
    "bridge": (SDS, ("Bridge GNP", "bridge", ("guidance.negative=negative",)), ("Bridge TNP", "bridge", ())),
    "csd": (SDS, ("CSD", "csd", ())),
    "tbsd": (
        ("SDS 100", "sds", ("guidance.guidance_scale=100",)),
        ("Bridge TNP", "bridge", ()),
        ("TBSD", "tbsd", ()),
    ),
    "vsd": (SDS, ("VSD", "vsd", LORA)),
    "esd": (SDS, ("ESD", "esd", LORA)),
    "nfsd": (SDS, ("NFSD", "nfsd", ())),
    "bsd": (SDS, ("BSD", "bsd", ())),
    "ism": (SDS_PIXELS, ("ISM", "ism", ("scene:image",))),
    "sdi": (SDS_PIXELS, ("SDI", "sdi", ("scene:image",))),
    "hifa": (SDS_PIXELS, ("HiFA", "hifa", ("scene:image",))),
}


@lru_cache
def prior():
    return load_learned_prior(WEIGHTS)


@lru_cache
@torch.enable_grad()
def optimised(prompt: str, scene: str, method: str, settings: tuple[str, ...] = (), mesh: str = "") -> Scene:
    """A scene at the end of a run with the preset of the method, and `settings` on top."""
    source = MeshInput(file=f"sample:{mesh}") if mesh else None
    config = default_config(prompt, scene, method, mesh=source)
    for text in settings:
        config = with_setting(config, *text.split("=", 1))
    experiment = Experiment(config, prior())
    for _ in experiment.steps():
        pass
    return experiment.scene


@lru_cache
@torch.no_grad()
def picture_by(prompt: str, method: str, settings: tuple[str, ...]) -> Tensor:
    """[3, 64, 64] by a method; of latents, unless the settings ask for pixels."""
    kind = next((text.removeprefix("scene:") for text in settings if text.startswith("scene:")), "latent")
    scene = optimised(prompt, kind, method, tuple(text for text in settings if not text.startswith("scene:")))
    return pictures(scene.render(orbit(1), 64, 64), prior())[0]


def method_picture(name: str) -> Callable[[], Tensor]:
    """Rows of methods, a column for each prompt."""

    def draw() -> Tensor:
        rows = METHOD_ROWS[name]
        images = [[picture_by(prompt, method, settings) for prompt in PROMPTS] for _, method, settings in rows]
        return labelled_grid(images, [label for label, _, _ in rows], list(PROMPTS))

    return draw


def edits() -> Tensor:
    """A row for each method that edits, below what it starts from; a column for each change."""
    changes = (("brick house", "wooden house"), ("striped torus", "marble torus"))
    rows = [[sample_image(before, 64) for before, _ in changes]]
    for method in EDITS:
        rows.append([])
        for (before, after), picture in zip(changes, rows[0], strict=True):
            config = default_config(f"a {after}", "latent", method, n_steps=40)
            config = replace(config, prompt=replace(config.prompt, source=f"a {before}"))
            with torch.no_grad():
                start = scene_of_latents(prior().encode(picture[None]), config.scene)
            experiment = Experiment(config, prior(), scene=start)
            for _ in experiment.steps():
                pass
            assert isinstance(experiment.scene, LatentImageScene)
            rows[-1].append(prior().decode(experiment.scene.latents.detach())[0])
    labels = ["source", *(METHODS[method].label for method in EDITS)]
    return labelled_grid(rows, labels, [f"to {after.split()[0]}" for _, after in changes])


@torch.no_grad()
def sheet(views: Tensor, columns: int) -> Tensor:
    """[B, 3, H, W] as one picture, `columns` beside each other."""
    rows = [torch.cat(list(views[i : i + columns]), dim=2) for i in range(0, len(views), columns)]
    return torch.cat(rows, dim=1)


def demo_models() -> Tensor:
    """Samples of the prior: every object in two materials."""
    materials, shapes = list(MATERIALS), list(SHAPES)
    texts = [f"a {materials[(i + k) % len(materials)]} {s}" for k in (0, 3) for i, s in enumerate(shapes)]
    return sheet(sample_ddim(prior(), texts, 3.0, 25, seed=0), len(shapes))


def multiview_groups() -> Tensor:
    """The same four cameras for both priors, left told in words, right as angles; a row for each object."""
    priors, rows = (prior(), load_multiview_prior()), []
    for number, prompt in enumerate(PROMPTS):
        angles = [(15.0 + 90.0 * i + 11.0 * number, 20.0) for i in range(4)]
        rows += [sampled(made, prompt, angles, 0, grouped) for made, grouped in zip(priors, (False, True), strict=True)]
    return sheet(torch.cat(rows), 8)


def sample_meshes() -> Tensor:
    cameras = orbit(12)[1:2]
    scenes = [texture_scene(sample_mesh(name, 64)) for name in SHAPES]
    with torch.no_grad():
        return sheet(torch.cat([scene.render(cameras, 128, 128).rgb for scene in scenes]), 4)


def view_control() -> Tensor:
    """The hints that a ControlNet gets for a mesh, and the mesh."""
    cameras = orbit(8, 20.0)[torch.tensor([0, 1, 3, 5])]
    scene = texture_scene(sample_mesh("house", 64))
    with torch.no_grad():
        render = scene.render(cameras, 128, 128)
    maps = [view_hints(ControlConfig(kind=kind), scene, cameras, render, 128).maps for kind in MAPS]
    return sheet(torch.cat([*maps, render.rgb]), len(cameras))


def image_prompt() -> Tensor:
    """A picture with an object at its side, the mask of the object, and what Stable Zero123 is shown."""
    house = render_truth("house", "brick", orbit(1, 20.0), 96)
    picture = torch.tensor((0.55, 0.62, 0.5)).view(1, 3, 1, 1).repeat(1, 1, 128, 192)
    mask, place = torch.zeros(1, 1, 128, 192), (..., slice(24, 120), slice(8, 104))
    picture[place] = house.images * house.mask + picture[place] * (1 - house.mask)
    mask[place] = house.mask
    shown = framed(picture, mask, ReferenceConfig()).on_white()
    shown = F.interpolate(shown, (128, 128), mode="bilinear", antialias=True, align_corners=False)
    return torch.cat([picture[0], mask[0].expand(3, -1, -1), shown[0]], dim=2)


def negatives() -> Tensor:
    """The model's pictures for a target, its target negative and the generic negative."""
    prompt = "a brick house, front view"
    texts = {"target": f"{prompt}, {PRAISE}", "TNP": f"{prompt}, {FAULTS}", "GNP": FAULTS}
    images = [[sample_ddim(prior(), [text], 3.0, 25, seed=seed)[0] for text in texts.values()] for seed in (0, 1)]
    return labelled_grid(images, ["", ""], [*texts])


def view_words() -> Tensor:
    """The model's pictures for the words of each view."""
    views = ("front view", "side view", "back view", "overhead view")
    images = [sample_ddim(prior(), [f"a brick house, {view}"], 3.0, 25, seed=1)[0] for view in views]
    return labelled_grid([images], [""], list(views))


def image_scene() -> Tensor:
    """The noise at the start, and the end of a run on latents and on pixels."""
    prompt = "a brick house"
    scenes = {kind: optimised(prompt, kind, "tbsd") for kind in ("latent", "image")}
    with torch.no_grad():
        start = make_scene(default_config(prompt, "image", "tbsd")).render(orbit(1), 64, 64).rgb[0]
        latents, pixels = (pictures(scene.render(orbit(1), 64, 64), prior())[0] for scene in scenes.values())
    return labelled_grid([[start, latents, pixels]], [""], ["start", "vae connected", "pixels"])


def cameras() -> Tensor:
    """Four training cameras of some presets."""
    names = ("around", "eye level", "from above", "everywhere")
    rows = []
    for name in names:
        drawn = sample_cameras(CAMERA_PRESETS[name][1], 4, torch.Generator().manual_seed(3))
        rows.append(list(render_truth("house", "brick", drawn).images))
    return labelled_grid(rows, list(names), ["", "", "", ""])


def timesteps() -> Image.Image:
    """The range of noise levels over a run."""
    shown = {
        "default": TimestepConfig(),
        "SDI (pictures)": TimestepConfig(draw="highest", t_max_end=0.02, anneal_end=1.0),
        "HiFA": TimestepConfig(draw="highest", anneal="sqrt", t_max_end=0.3, anneal_end=1.0),
    }
    figure = Figure(figsize=(6, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    progress = [i / 100 for i in range(101)]
    for name, config in shown.items():
        ranges = [timestep_range(config, 1001, u) for u in progress]
        low, high = ([bound / 1000 for bound in bounds] for bounds in zip(*ranges, strict=True))
        (line,) = axes.plot(progress, high, label=name)
        if config.draw == "uniform":
            axes.fill_between(progress, low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel="progress of the run", ylabel="noise level", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def house_nerf() -> NeRFScene:
    scene = optimised("a brick house", "nerf", "tbsd")
    assert isinstance(scene, NeRFScene)
    return scene


@torch.no_grad()
def nerf_scene() -> Tensor:
    """Picture, nearness and normals, as Render Views puts them out."""
    view = house_nerf().render(orbit(12)[1:2], 128, 128, with_normal=True)
    solid = view.opacity > 0.5
    near, far = view.depth[solid].min(), view.depth[solid].max()
    depth = torch.where(solid, 1 - 0.9 * (view.depth - near) / (far - near), 0.0).expand(-1, 3, -1, -1)
    assert view.normal is not None
    normals = (view.normal * 0.5 + 0.5) * view.opacity
    return labelled_grid([[view.rgb[0], depth[0], normals[0]]], [""], ["images", "depth", "normals"])


@torch.no_grad()
def extracted_mesh() -> Tensor:
    """The scene and the mesh that Extract Mesh cuts out of it, drawn as a mesh."""
    scene, camera = house_nerf(), orbit(12)[1:2]
    mesh, _ = textured_mesh(scene)
    drawn = texture_scene(mesh, MeshTextureConfig(shading="none"))
    grey = texture_scene(mesh)
    with torch.enable_grad():
        start_from_colors(drawn, mesh)
    images = [s.render(camera, 192, 192).rgb[0] for s in (scene, grey, drawn)]
    return labelled_grid([images], [""], ["scene", "surface", "with texture"])


@torch.no_grad()
def splats() -> Tensor:
    scene = optimised("a brick house", "gaussian", "tbsd")
    return sheet(torch.cat([scene.render(orbit(4)[i : i + 1], 128, 128).rgb for i in range(4)]), 4)


@torch.no_grad()
def painted_mesh() -> Tensor:
    """A given mesh before and after."""
    before = texture_scene(sample_mesh("house", 64))
    after = optimised("a brick house", "mesh_texture", "tbsd", mesh="house")
    views = [orbit(12)[i : i + 1] for i in (1, 5)]
    return sheet(torch.cat([scene.render(view, 128, 128).rgb for scene in (before, after) for view in views]), 4)


@torch.no_grad()
def region() -> Tensor:
    """The part of a house that the front view does not see."""
    mesh = textured_sample("house", "brick", resolution=64)
    assert mesh.texture is not None
    scene = texture_scene(mesh, place=PlacementConfig(radius=None))
    remember_texture(scene, mesh.texture)
    return sheet(preview(scene, inverted(seen_region(scene, orbit(1, 15.0))), orbit(4, 15.0, start=20.0), 128), 4)


def measured() -> Tensor:
    """Pictures with some of the numbers that Image Metrics gives them."""
    rows = [picture_by("a wooden house", method, settings) for _, method, settings in METHOD_ROWS["tbsd"]]
    found = image_statistics(torch.stack(rows))
    numbers = zip(found["saturation"].tolist(), found["sharpness"].tolist(), strict=True)
    captions = [f"saturation {a:.2f}\nsharpness {b:.2f}" for a, b in numbers]
    return labelled_grid([rows], [""], [label for label, _, _ in METHOD_ROWS["tbsd"]], captions=[captions])


def thumbnail(template: str, top: float = 1.0) -> Callable[[], Image.Image]:
    """The thumbnail of a template, or the upper part of it."""

    def read() -> Image.Image:
        picture = Image.open(ROOT / "workflows" / f"{template}.jpg").convert("RGB")
        return picture.crop((0, 0, picture.width, round(top * picture.height)))

    return read


PICTURES: dict[str, Callable[[], Tensor | Image.Image]] = {
    **{f"method_{name}": method_picture(name) for name in METHOD_ROWS},
    "edits": edits,
    "demo_models": demo_models,
    "multiview_groups": multiview_groups,
    "sample_meshes": sample_meshes,
    "view_control": view_control,
    "image_prompt": image_prompt,
    "negatives": negatives,
    "view_words": view_words,
    "cameras": cameras,
    "timesteps": timesteps,
    "metrics": measured,
    "image_scene": image_scene,
    "splats": splats,
    "painted_mesh": painted_mesh,
    "region": region,
    "nerf_scene": nerf_scene,
    "extracted_mesh": extracted_mesh,
    "refined_mesh": thumbnail("Text to 3D in stages"),
    "compare": thumbnail("Compare methods"),
    "over_time": thumbnail("Analyse Bridge over time"),
    "seeds": thumbnail("Analyse seeds"),
    "shape_coefficient": thumbnail("Analyse the weight of the shape"),
    "objective_path": thumbnail("Analyse the path between shape and texture"),
    "directions": thumbnail("Analyse directions", top=0.36),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(PICTURES)}")
    chosen = parser.parse_args().names or list(PICTURES)
    if unknown := sorted(set(chosen) - set(PICTURES)):
        raise SystemExit(f"No such picture: {', '.join(unknown)}. There are: {', '.join(PICTURES)}.")
    FOLDER.mkdir(exist_ok=True)
    for name in chosen:
        begin = time.monotonic()
        drawn = PICTURES[name]()
        picture = Image.fromarray(to_uint8(drawn)) if isinstance(drawn, Tensor) else drawn
        size = save_small(fitted(picture, WIDTH, HEIGHT), FOLDER / f"{name}.webp", MAX_BYTES)
        print(f"{name}: {time.monotonic() - begin:.0f} s, {size} bytes", flush=True)


if __name__ == "__main__":
    main()
