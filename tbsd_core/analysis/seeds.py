"""The same settings from several seeds: a row per method or prompt, a column per seed.

After a figure of TBSD (arXiv:2511.11710), "Generation examples of TBSD (ours) with different seed values".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..grid import labelled_grid
from ..scenes import SCENES
from ..scenes.stored import is_untouched
from ..study import Entry
from .pictures import Result
from .sheet import Sheet


def seed_entries(entry: Entry, seeds: Iterable[int]) -> list[Entry]:
    """The entry with different noise and cameras for each seed, and a different start: a mesh, and a scene that
    somebody has made something of, start unchanged."""
    start = entry.start
    if start is not None and not SCENES[entry.config.scene_name].paints_mesh:
        start = None if is_untouched(start) and not start.attached else start
    entries = []
    for seed in seeds:
        config = replace(entry.config, optim=replace(entry.config.optim, seed=seed))
        if start is None:
            config = replace(config, scene=replace(config.scene, seed=seed))
        entries.append(replace(entry, config=config, start=start, facts={**entry.facts, "seed": seed}))
    return entries


def seeds_sheet(results: Sequence[Result], title: str) -> Sheet:
    """Rows of labels, columns of seeds, in the order of their first run; seeds that were not reached stay empty."""
    found = {(r.entry.label, r.entry.config.optim.seed): r for r in results}
    rows, seeds = list(dict.fromkeys(row for row, _ in found)), list(dict.fromkeys(seed for _, seed in found))
    done = {key: result.tile(1.0) for key, result in found.items()}
    images = [[done.get((row, seed)) for seed in seeds] for row in rows]
    labels = rows if len(rows) > 1 else [""]
    image = labelled_grid(images, labels, [str(seed) for seed in seeds], title, column_axis="seed")
    return Sheet(image, {"title": title, "seeds": seeds, "cases": [r.numbers() for r in results]})
