"""The same settings from several seeds: a row per method or prompt, a column per seed.

After a figure of TBSD (arXiv:2511.11710), "Generation examples of TBSD (ours) with different seed values".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..grid import labelled_grid
from .cases import Case, CaseResult, reseeded
from .sheet import Sheet


def seed_cases(case: Case, seeds: Iterable[int]) -> list[Case]:
    """The case with another start, other noise and other cameras for each seed."""
    return [
        replace(
            case,
            scene=reseeded(case.scene, seed),
            optim=replace(case.optim, seed=seed),
            settings={**case.settings, "seed": seed},
        )
        for seed in seeds
    ]


def seeds_sheet(results: Sequence[CaseResult], title: str) -> Sheet:
    """Rows of labels, columns of seeds, in the order of their first run; what was not reached stays empty."""
    found: dict[tuple[str, int], CaseResult] = {(r.case.label, r.case.optim.seed): r for r in results}
    rows, seeds = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
    done = {key: result.pictures.get(1.0) for key, result in found.items()}
    images = [[done.get((row, seed)) for seed in seeds] for row in rows]
    labels = rows if len(rows) > 1 else [""]
    image = labelled_grid(images, labels, [str(seed) for seed in seeds], title, column_axis="seed")
    return Sheet(image, {"title": title, "seeds": seeds, "cases": [r.numbers() for r in results]})
