"""Pictures of docs/troubleshooting.md: `python -m benchmarks.symptoms [NAME ...]`.

Each is a NeRF of one prompt and seed from four sides, above with settings that bring a symptom about, below with the
demo model's preset of the same method. Written to docs/images as small WebPs.
"""

from __future__ import annotations

import argparse
import time
from functools import lru_cache

import torch
from PIL import Image

from benchmarks.thumbnails import fitted, save_small
from tbsd_core.cameras.sampling import orbit
from tbsd_core.configuration import with_setting
from tbsd_core.experiment import Experiment, default_config
from tbsd_core.grid import labelled_grid
from tbsd_core.media import to_uint8
from tbsd_core.priors.small_world.learned import load_learned_prior
from tests.hosts import ROOT

FOLDER = ROOT / "docs" / "images"
PROMPT, STEPS, SIZE = "a brick house", 300, 96
SIDES = ("front", "right", "back", "left")
WIDTH, HEIGHT, MAX_BYTES = 480, 260, 12_000

# a method, and settings that bring it about; the preset's cure it
SYMPTOMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "janus": ("tbsd", ("prompt.view_dependent=false",)),
    "empty": ("tbsd", ("scene.opacity_weight=3",)),
    "mushy": ("tbsd", ("scene.tv_weight=20",)),
    "floaters": (
        "sds",
        ("guidance.guidance_scale=100", "scene.opacity_weight=0", "scene.entropy_weight=0", "scene.tv_weight=0"),
    ),
}


@lru_cache
def seen(method: str, settings: tuple[str, ...]) -> list[torch.Tensor]:
    """The four sides of the result of a run with these settings."""
    config = default_config(PROMPT, "nerf", method, n_steps=STEPS)
    for text in settings:
        config = with_setting(config, *text.split("=", 1))
    experiment = Experiment(config, load_learned_prior())
    for _ in experiment.steps():
        pass
    with torch.no_grad():
        return list(experiment.scene.render(orbit(4, 15.0), SIZE, SIZE).rgb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(SYMPTOMS)}")
    chosen = parser.parse_args().names or list(SYMPTOMS)
    if unknown := sorted(set(chosen) - set(SYMPTOMS)):
        raise SystemExit(f"No such picture: {', '.join(unknown)}. There are: {', '.join(SYMPTOMS)}.")
    FOLDER.mkdir(exist_ok=True)
    for name in chosen:
        began = time.monotonic()
        method, settings = SYMPTOMS[name]
        grid = labelled_grid([seen(method, settings), seen(method, ())], ["symptom", "preset"], list(SIDES))
        size = save_small(fitted(Image.fromarray(to_uint8(grid)), WIDTH, HEIGHT), FOLDER / f"{name}.webp", MAX_BYTES)
        print(f"{name}: {time.monotonic() - began:.0f} s, {size} bytes", flush=True)


if __name__ == "__main__":
    main()
