"""Real models before anybody runs them: `python -m benchmarks.real_models [--families sd15 sdxl] [--out FILE]`.

Operations and memory of a step with the preset of a NeRF, for each model family and each card, counted on meta tensors
without weights. Times rest on assumed speeds; nothing is measured.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import torch

from tbsd_core.benchmark.card_plan import CONTEXT, on_card
from tbsd_core.benchmark.meta import REAL_MODELS, Counts, count, with_counts
from tbsd_core.card_presets import MEMORIES
from tbsd_core.cards import PEAKS, SUSTAINED
from tbsd_core.experiment import Experiment, ExperimentConfig, default_config, read_prior, with_preset
from tbsd_core.experiment.duration import duration_of, flops_in_words, time_in_words
from tbsd_core.experiment.needs import Needs, needs_of
from tbsd_core.memory import in_words
from tbsd_core.presets import FAMILY_NAMES

STEPS = 10_000
CARDS = ("RTX 4090", "RTX 3060")
VAE_DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@cache
def config_of(family: str, memory: int | None, method: str = "tbsd") -> ExperimentConfig:
    """The run of a NeRF with a family's preset, on the demo model instead of the family's."""
    return with_preset(default_config("a brick house", "nerf", method), family, memory)


@cache
def counted_at(family: str, size: int, dtype: torch.dtype) -> Counts:
    return count(family, size, vae_dtype=dtype)


def lines(families: list[str], method: str) -> list[str]:
    """The tables."""
    prior = read_prior(config_of("sd15", None))
    scene: Needs = needs_of(Experiment(config_of("sd15", None), prior))  # the same for all of them
    first = [
        "| Family | Seen at | Weights | Encode a view (bf16) | computed again | Predict a view | A step | "
        + " | ".join(f"{STEPS} steps, {card}" for card in CARDS)
        + " |",
        "|---" * (7 + len(CARDS)) + "|",
    ]
    second = ["| Family | Encoder | " + " | ".join(f"{gb} GB" for gb in MEMORIES) + " |"]
    second.append("|---" * (2 + len(MEMORIES)) + "|")
    for family in families:
        config = config_of(family, None, method)
        whole, optim = Experiment(config, prior), config.optim
        counts = counted_at(family, optim.encode_size or optim.size, torch.bfloat16)
        n = optim.views_per_step
        lasts = duration_of(whole, with_counts(scene, counts).work, n, False, False)
        seconds = [lasts.late * STEPS / (SUSTAINED * PEAKS[card] * 1e12) for card in CARDS]
        times = [time_in_words(s).removeprefix("about ") for s in seconds]
        sizes = [counts.network, counts.encode.bytes, counts.recomputed.bytes, counts.predict.bytes]
        cells = [FAMILY_NAMES[family], optim.encode_size, *map(in_words, sizes), flops_in_words(lasts.late), *times]
        first.append(f"| {' | '.join(map(str, cells))} |")
        for name, dtype in VAE_DTYPES.items():
            row = []
            for gb in MEMORIES:
                small = config_of(family, gb, method).optim
                some = counted_at(family, small.encode_size or small.size, dtype)
                found = on_card(with_counts(scene, some), some, small.views_per_step, gb)
                size = "" if small.encode_size == optim.encode_size else f", seen at {small.encode_size}"
                views = "" if small.views_per_step == n else f", {small.views_per_step} views"
                row.append("does not fit" if found is None else f"{found.text}{size}{views}: {in_words(found.taken)}")
            second.append(f"| {FAMILY_NAMES[family]} | {name} | {' | '.join(row)} |")
    return [*first, "", *second]


def main() -> None:
    parser = argparse.ArgumentParser(description="Operations and memory of real models, counted on meta tensors.")
    parser.add_argument("--families", nargs="+", default=list(REAL_MODELS), choices=list(REAL_MODELS))
    parser.add_argument("--method", default="tbsd", help="that of three conditions (default %(default)s)")
    parser.add_argument("--out", type=Path, help="write the tables to this file, too")
    arguments = parser.parse_args()
    text = "\n".join(
        [
            "# Real models: work and memory of a step",
            "",
            "Counted on meta tensors, without weights and without a GPU, by `python -m benchmarks.real_models "
            "--out benchmarks/results/real_models.md`. NeRF with the preset of each family, "
            f"{arguments.method}: four views, three conditions. Times are what the counted operations take at "
            f"{SUSTAINED:.0%} of the makers' float16 figure ({', '.join(f'{c} {PEAKS[c]} TFLOP/s' for c in CARDS)}): "
            "assumed, not measured; encoding view by view or twice takes longer.",
            "",
            "By card: what the plan does by itself, and the memory that is taken at the peak, with "
            f"{in_words(CONTEXT)} for CUDA (ours), the network in float16 and text encoders outside. What of the "
            "network is outside is copied in every forward. The encoder is in float32 where a card has no bfloat16 "
            "(before Ampere).",
            "",
            *lines(arguments.families, arguments.method),
            "",
        ]
    )
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
