"""How well the learned prior knows its world: `python -m benchmarks.learned_prior [--count 200] [--sheet FILE]`.

Samples "a MATERIAL OBJECT" for every combination in turn and prints the mean posterior of the right
object and the right material under the exact prior.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tbsd_core.media import write_strip
from tbsd_core.priors.diffusers import sample_ddim
from tbsd_core.priors.small_world.identity import identify
from tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior
from tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_core.priors.small_world.shapes import SHAPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of samples")
    parser.add_argument("--guidance-scale", type=float, default=3.0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="pipeline folder")
    parser.add_argument("--sheet", type=Path, help="write the samples as a contact sheet")
    arguments = parser.parse_args()
    prior = load_learned_prior(arguments.weights)
    objects = [(s, m) for s in SHAPES for m in MATERIALS]
    wanted = [objects[i % len(objects)] for i in range(arguments.count)]
    batches = [wanted[i : i + len(objects)] for i in range(0, len(wanted), len(objects))]
    images = torch.cat(
        [
            sample_ddim(prior, [f"a {m} {s}" for s, m in batch], arguments.guidance_scale, 25, seed=i)
            for i, batch in enumerate(batches)
        ]
    )
    if arguments.sheet is not None:
        write_strip(images, arguments.sheet, 12)
    found = identify(images)
    shape = torch.stack([found.shape[k, list(SHAPES).index(s)] for k, (s, _) in enumerate(wanted)])
    material = torch.stack([found.material[k, list(MATERIALS).index(m)] for k, (_, m) in enumerate(wanted)])
    print(f"identity over {len(wanted)} prompts: object {shape.mean():.3f}, material {material.mean():.3f}")


if __name__ == "__main__":
    main()
