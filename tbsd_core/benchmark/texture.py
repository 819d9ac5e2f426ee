"""Given meshes of small-world objects, painted by TBSD: is the texture as good as the prior's own pictures?

The prior's DDIM samples are the yardstick ("clean"): distillation cannot know more than the model. Both are measured
alike, and the metric does not know the cameras.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import mean, stdev

import torch

from ..cameras.sampling import orbit
from ..experiment import Experiment, MeshInput, default_config, read_mesh, read_prior
from ..metrics import evaluate_images
from ..priors.diffusers import sample_ddim

VIEWS, ELEVATION = 12, 20.0
CLEAN_SCALE, CLEAN_STEPS = 3.0, 25  # of the prior's samples, as in benchmarks/learned_prior.py
SHOWN = ("identity_shape", "identity_material", "patch_distance", "saturation_ratio", "high_frequency_ratio")


@dataclass(frozen=True, kw_only=True)
class TextureConfig:
    prompts: tuple[str, ...] = ("a brick cube", "a wooden torus", "a brick house", "a dotted mushroom")
    seeds: tuple[int, ...] = (0, 1)
    n_steps: int | None = None  # None = the preset's
    noise: float = 0.0  # on the gradient, see guidance.rehearsal


def measure_texture(config: TextureConfig, on_row: Callable[[dict], None] = lambda row: None) -> dict:
    """One row per prompt: the measures of the painted mesh and of the prior's samples, and seconds."""
    prior, rows = None, []
    for prompt in config.prompts:
        material, shape = prompt.split()[1:]
        results, seconds = [], []
        for seed in config.seeds:
            source = MeshInput(file=f"sample:{shape}")
            run = default_config(prompt, "mesh_texture", n_steps=config.n_steps, seed=seed, mesh=source)
            run = replace(run, rehearsal_noise=config.noise)
            prior = read_prior(run) if prior is None else prior
            start = time.perf_counter()
            experiment = Experiment(run, prior)
            for _ in experiment.steps():
                pass
            seconds.append(time.perf_counter() - start)
            with torch.no_grad():
                cameras = orbit(VIEWS, ELEVATION)
                render = experiment.scene.render
                images = torch.cat([render(cameras[i : i + 4], 64, 64).rgb for i in range(0, VIEWS, 4)])
            results.append(evaluate_images(images, shape, material))
        views = ["front view", "side view", "back view"] * (VIEWS // 3)
        texts = [f"{prompt}, {view}, {run.prompt.target_modifier}" for view in views]
        clean = evaluate_images(sample_ddim(prior, texts, CLEAN_SCALE, CLEAN_STEPS, seed=0), shape, material)
        row = {
            "prompt": prompt,
            "faces": len(read_mesh(source).faces),
            "seconds": mean(seconds),
            "painted": {name: [r[name] for r in results] for name in SHOWN},
            "clean": {name: clean[name] for name in SHOWN},
        }
        rows.append(row)
        on_row(row)
    return {"config": asdict(config), "torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows}


def table(report: dict) -> str:
    """The report as Markdown: mean (and spread over seeds) of the painted mesh / the prior's own samples."""
    heads = [name.replace("_", " ") for name in SHOWN]
    lines = [
        f"| mesh | faces | seconds | {' | '.join(heads)} |",
        f"|{'---|' * (3 + len(heads))}",
    ]
    for row in report["rows"]:
        cells = []
        for name in SHOWN:
            values = row["painted"][name]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread} / {row['clean'][name]:.3f}")
        lines.append(f"| {row['prompt']} | {row['faces']:,} | {row['seconds']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)
