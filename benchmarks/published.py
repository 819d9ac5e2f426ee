"""The presets of real models beside the published values, one by one, each difference with its reason.

`make docs` writes the table to benchmarks/results/presets.md with the presets' own values in the column "here".
The published values come from the repositories at the commits named; both are compared in our terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tbsd_core.cameras.sampling import CameraConfig
from tbsd_core.experiment import ExperimentConfig, with_preset
from tbsd_core.guidance import METHODS
from tbsd_core.optim import OptimConfig
from tbsd_core.prompts import PromptConfig
from tbsd_core.scenes import SCENES
from tbsd_core.settings import described

GROUPS = ("prompt", "guidance", "scene", "cameras", "optim")


@dataclass(frozen=True)
class Row:
    """Settings that belong together.

    Args:
        names: dotted, as presets have them.
        published: the same in our terms; a value as `shown` writes it.
        why: the reason of the difference; "" if there is none.
    """

    names: tuple[str, ...]
    published: str
    why: str = ""


@dataclass(frozen=True)
class Source:
    """A published configuration, and the preset that stands beside it."""

    title: str
    where: str
    family: str
    scene: str
    method: str
    rows: tuple[Row, ...]
    unlike: tuple[str, ...] = ()  # things there and not here, or the other way round, in a sentence each


VIEWS = Row(("optim.views_per_step",), "1", "calmer, fewer contradicting steps: four times the work")
FIELD = Row(
    ("scene.encoding", "scene.resolutions"),
    "hash grid, 16 levels from 16 to 4096, 2^19 entries",
    "time and memory; *hash* is there to choose",
)
SAMPLES = Row(("scene.n_samples",), "512", "as many as the grid has points")
ADAM = Row(("optim.eps",), "1e-15", "cells that no ray reaches would walk at full step (rehearsed)")
BETAS = Row(("optim.beta1", "optim.beta2"), "0.9, 0.99")
RATE = Row(("optim.lr",), "0.01 of the hash grid, 0.001 of its networks", "measured for the dense grid")
LENS = Row(("cameras.fov_y", "cameras.fov_y_max"), "40, 70")
TIMES = Row(("optim.timesteps.t_min", "optim.timesteps.t_max"), "0.02, 0.98")
ENCODED = Row(("optim.encode_size",), "512")
ANNEALED = Row(("optim.timesteps.t_max_end", "optim.timesteps.anneal_end"), "0.5, 0.2")
HEIGHT = Row(
    ("cameras.elevation_min", "cameras.elevation_max"),
    "-10, 45",
    "tops are to be seen, too; straight from above, up is undefined (threestudio's default: 90)",
)
LIGHT = "scene.shaded", "scene.shaded_from"
NO_LIGHT = Row(LIGHT, "0 (colours without light)", "light shows shapes that colours alone would fake")
SMOOTH = Row(
    ("scene.tv_weight", "scene.entropy_weight", "scene.opacity_weight"),
    "0, 0, 0",
    "fog and grain; the demo model's, and of tv a fifth, rehearsed with noisy gradients",
)
NORMALIZED = Row(
    ("optim.normalize_by",), "none", "regularisers then weigh the same at any guidance scale and with any noise"
)
SIZES = Row(
    ("optim.start_size", "optim.size"), "64, 512 (from step 5000)", "memory; the model sees all at its own size"
)
NEAR = Row(
    ("cameras.distance", "cameras.distance_max"), "1, 1.5 of a ball of radius 1", "ours is a cube of half side 1"
)
SPARSE = Row(("scene.sparsity_weight",), "10", "not measured here; fog is taken away by opacity and entropy")
BACK = Row(("scene.background_mode",), "learned, a random colour half of the time", "not measured here")
FRONT = Row(("cameras.front",), "30")

SOURCES: tuple[Source, ...] = (
    Source(
        "NeRF by SDS: threestudio",
        "threestudio 28d9d80, configs/dreamfusion-sd.yaml",
        "sd15",
        "nerf",
        "sds",
        (
            Row(("guidance.guidance_scale",), "101"),
            Row(("guidance.weighting",), "sigma2"),
            Row(("optim.n_steps",), "10000"),
            VIEWS,
            Row(("optim.start_size", "optim.size"), "64, 64", "detail; ProlificDreamer ends at 512"),
            ENCODED,
            RATE,
            BETAS,
            ADAM,
            TIMES,
            Row(
                ("optim.timesteps.t_max_end", "optim.timesteps.anneal_end"),
                "0.98, -",
                "late steps refine, as in ProlificDreamer and CSD",
            ),
            Row(
                ("cameras.distance", "cameras.distance_max"),
                "1.5, 2 of objects three quarters as large",
                "the same in multiples of the object",
            ),
            LENS,
            HEIGHT,
            Row(("cameras.front",), "45", "within 30 in all later configurations: fewer fronts at the sides"),
            FIELD,
            SAMPLES,
            Row(("scene.background_mode",), "learned"),
            Row(LIGHT, "0.75, 0.2 (from step 2001)", "more steps show the colours as they are"),
            Row(("scene.textureless",), "0.5"),
            NORMALIZED,
            SMOOTH,
            Row(("scene.sparsity_weight",), "1", SPARSE.why),
            Row(("scene.orientation_weight",), "10, 1000 from step 5000", "not measured here"),
        ),
        (
            "threestudio's 100 counts from the prediction of the prompt, ours from the empty prompt: 101.",
            "threestudio's hash grid opens its fine levels from step 2000 on, ours has all from the start.",
        ),
    ),
    Source(
        "NeRF by SDS-Bridge",
        "SDS-Bridge 240e06e, threestudio-sds-bridge/configs/sds-bridge.yaml",
        "sd15",
        "nerf",
        "bridge",
        (
            Row(("guidance.guidance_scale", "guidance.weighting"), "100, sigma2"),
            Row(("guidance.texture_scale", "guidance.texture_weighting"), "1, uniform"),
            Row(("guidance.switch",), "0.8"),
            Row(("guidance.negative",), "target_negative"),
            Row(("guidance.anchor",), "0"),
            Row(
                ("prompt.negative_descriptors",),
                "oversaturated, smooth, pixelated, cartoon, foggy, hazy, blurry, bad structure, noisy, malformed",
                "four of them, which every method of the pack shares",
            ),
            Row(("prompt.target_modifier",), ".", "praise, as in their 2D script"),
            Row(("optim.n_steps",), "25000"),
            VIEWS,
            SIZES,
            ENCODED,
            RATE,
            BETAS,
            ADAM,
            TIMES,
            ANNEALED,
            NEAR,
            LENS,
            HEIGHT,
            FRONT,
            FIELD,
            SAMPLES,
            BACK,
            NO_LIGHT,
            NORMALIZED,
            SMOOTH,
            SPARSE,
        ),
        (
            "Their words of the view come after the modifiers, ours before.",
            "Their opaqueness loss (0, then 1000 from step 10,000) is none of ours.",
        ),
    ),
    Source(
        "NeRF by VSD: ProlificDreamer",
        "threestudio 28d9d80, configs/prolificdreamer.yaml",
        "sd15",
        "nerf",
        "vsd",
        (
            Row(("guidance.guidance_scale", "guidance.weighting"), "7.5, sigma2"),
            Row(("guidance.lora.lr", "guidance.lora.camera_dropout"), "0.0001, 0.1"),
            Row(("guidance.lora.rank",), "4"),
            Row(("optim.n_steps",), "25000"),
            VIEWS,
            SIZES,
            ENCODED,
            RATE,
            BETAS,
            ADAM,
            TIMES,
            ANNEALED,
            NEAR,
            LENS,
            HEIGHT,
            FRONT,
            FIELD,
            SAMPLES,
            BACK,
            NO_LIGHT,
            NORMALIZED,
            SMOOTH,
            SPARSE,
        ),
        (
            "Their LoRA sits on Stable Diffusion 2.1 (v prediction) beside 2.1-base; ours on the model itself.",
            "In both the LoRA is told the prompt without view words, and the camera by its pose.",
        ),
    ),
    Source(
        "Splats by SDS: DreamGaussian",
        "dreamgaussian 69a3c70, configs/text.yaml and main.py",
        "sd15",
        "gaussian",
        "sds",
        (
            Row(("guidance.guidance_scale",), "100", "1 %: one value for SDS; theirs counts from the empty prompt"),
            Row(("guidance.weighting",), "sigma2"),
            Row(("prompt.view_dependent",), "no (text.yaml passes no azimuth)", "fewer faces on all sides"),
            Row(("optim.n_steps",), "500"),
            VIEWS,
            Row(("optim.size",), "128, 256, 512 (from 0.3 and 0.6)", "one size between them"),
            ENCODED,
            Row(
                ("optim.lr",),
                "0.01 of colours; position 0.001 to 0.00002, opacity 0.05, scale and turn 0.005",
                "that of colours; the others follow from it",
            ),
            ADAM,
            TIMES,
            Row(("optim.timesteps.t_max_end", "optim.timesteps.anneal_end"), "0.02, 1"),
            Row(("optim.timesteps.draw",), "highest"),
            Row(("cameras.distance", "cameras.fov_y"), "2.5, 49.1"),
            Row(("cameras.elevation_min", "cameras.elevation_max"), "-30, 30"),
            Row(("cameras.front",), "-", "they name no views"),
            Row(("scene.background",), "white or black, by chance", "one that is drawn by chance is not built"),
            Row(
                ("scene.n_gaussians",),
                "5000, grown and pruned every 50 steps",
                "a constant number, moved to where they are needed",
            ),
            NORMALIZED,
            Row(
                ("scene.opacity_weight", "scene.scale_weight", "scene.fog_weight", "scene.entropy_weight"),
                "0, 0, 0, 0",
                "fog and needles; the demo model's, rehearsed with noisy gradients",
            ),
        ),
        ("Their second stage (50 steps of a mesh's texture by denoised pictures) is not built.",),
    ),
    Source(
        "Painting by SDS: Paint-it",
        "Paint-it 8cca161, paint_it.py and sd.py",
        "sd15",
        "mesh_texture",
        "sds",
        (
            Row(("guidance.guidance_scale", "guidance.weighting"), "101, sigma2"),
            Row(("optim.n_steps",), "1500", "a field of points learns slower than their network"),
            Row(("optim.views_per_step",), "4"),
            Row(("optim.size",), "512"),
            ENCODED,
            Row(
                ("optim.lr",),
                "0.0005 of a network that draws the texture",
                "a field of points in the place of that network",
            ),
            Row(("optim.eps",), "1e-8", "as for the NeRF"),
            Row(
                ("optim.timesteps.t_min",),
                "0.3 to 0.2, by the root",
                "that of threestudio; fine grain is cheap to keep here",
            ),
            Row(("optim.timesteps.t_max", "optim.timesteps.t_max_end"), "0.98, 0.5"),
            Row(("optim.timesteps.anneal_end",), "1, by the root", "halfway, as CSD"),
            Row(("cameras.distance", "cameras.fov_y"), "3.25, 45", "the object fills the view"),
            Row(("cameras.elevation_min", "cameras.elevation_max"), "-60, 60", "undersides are seldom seen"),
            Row(("cameras.front",), "45", "as for the NeRF"),
            Row(("scene.resolutions",), "a texture of 512 pixels", "as fine as the views show, without seams"),
            Row(("scene.shading",), "PBR under an environment map", "not built: colours under a soft light"),
            NORMALIZED,
            Row(("scene.tv_weight",), "0 (the network smooths)", "rehearsed with noisy gradients"),
        ),
        ("Paint-it clips the norm of the gradient at 10 and lowers lr by a tenth every 100 steps.",),
    ),
    Source(
        "NeRF by SDS on Stable Diffusion 3: RFDS",
        "rectified_flow_prior 235e39f, configs/rfds_sd3.yaml and RFDS_sd3.py",
        "sd3",
        "nerf",
        "sds",
        (
            Row(("guidance.guidance_scale",), "100"),
            Row(
                ("guidance.weighting",), "velocity, times a random number around 0.5", "chance that depends on nothing"
            ),
            Row(("optim.n_steps",), "15000", "that of every NeRF here"),
            VIEWS,
            Row(("optim.start_size", "optim.size"), "256, 512 (from step 5000)", "time and memory"),
            ENCODED,
            RATE,
            BETAS,
            ADAM,
            Row(("optim.timesteps.t_min", "optim.timesteps.t_max"), "0.02, 0.7"),
            Row(
                ("optim.timesteps.t_max_end", "optim.timesteps.anneal_end"),
                "0.7, -",
                "late steps refine, as for other models",
            ),
            NEAR,
            LENS,
            HEIGHT,
            FRONT,
            FIELD,
            SAMPLES,
            BACK,
            NO_LIGHT,
            NORMALIZED,
            SMOOTH,
            Row(("scene.sparsity_weight",), "0.1", SPARSE.why),
        ),
        (
            "They index the table of noise levels from its noisy end, 0.3 to 0.98; with its shift of 3 the noise is at "
            "most 0.875, which is 0.7 of the schedule counted from its clean end.",
        ),
    ),
    Source(
        "Pictures by SDS on Stable Diffusion 3: RFDS",
        "rectified_flow_prior 235e39f, 2dplayground_RFDS_sd3.py",
        "sd3",
        "latent",
        "sds",
        (
            Row(("guidance.guidance_scale",), "50"),
            Row(
                ("guidance.weighting",), "velocity, times a random number around 0.5", "chance that depends on nothing"
            ),
            Row(("optim.n_steps",), "800", "that of Bridge's script"),
            Row(("optim.size",), "512", "latents are not enlarged: the size of the model's makers"),
            Row(("optim.lr",), "0.03", "that of Bridge's script"),
            Row(("optim.eps",), "not noted", "that of Bridge's script"),
            TIMES,
            Row(("optim.timesteps.t_max_end",), "0.98"),
            Row(("optim.views_per_step",), "1"),
        ),
    ),
    Source(
        "Pictures by SDS-Bridge",
        "SDS-Bridge 240e06e, 2D_experiments/generate.py and guidance.py",
        "sd15",
        "latent",
        "bridge",
        (
            Row(("guidance.guidance_scale", "guidance.weighting"), "40, sigma2"),
            Row(("guidance.switch",), "0.5"),
            Row(("guidance.negative", "guidance.anchor"), "target_negative, 0"),
            Row(("optim.n_steps",), "1000"),
            Row(("optim.size",), "512"),
            Row(("optim.lr",), "0.01"),
            BETAS,
            Row(("optim.eps",), "1e-15"),
            Row(("optim.views_per_step",), "1"),
            TIMES,
            Row(("optim.timesteps.t_max_end",), "0.98"),
        ),
    ),
)


def resolved(source: Source) -> dict[str, Any]:
    """Every setting by dotted name, as a run with the preset has it."""
    scene, method = SCENES[source.scene], METHODS[source.method]
    config = ExperimentConfig(
        prompt=PromptConfig(prompt="a house"),
        guidance_name=source.method,
        guidance=method.config(),
        scene_name=source.scene,
        scene=scene.config(),
        cameras=CameraConfig(),
        optim=OptimConfig(),
    )
    config = with_preset(config, source.family)
    return {n: v for part in GROUPS for n, v, _ in described(getattr(config, part), f"{part}.")}


def shown(value: Any) -> str:
    """A value in the table."""
    if isinstance(value, tuple):
        return " and ".join(map(shown, value)) if isinstance(value[0], int) else ", ".join(map(shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table() -> str:
    """All sources as Markdown."""
    lines = []
    for source in SOURCES:
        values = resolved(source)
        lines += ["", f"## {source.title}", "", f"{source.where}; here: {source.method} on {source.family}.", ""]
        lines += ["| setting | published | here | why |", "|---|---|---|---|"]
        for row in source.rows:
            names = ", ".join(f"`{name}`" for name in row.names)
            ours = ", ".join(shown(values[name]) for name in row.names)
            lines.append(f"| {names} | {row.published} | {ours} | {row.why or 'the same'} |")
        lines += [""] * bool(source.unlike) + [f"- {text}" for text in source.unlike]
    return "\n".join(lines).strip()
