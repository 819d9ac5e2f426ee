"""`python -m tbsd_core compare`: methods side by side on the same prompts and seeds."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configuration import with_setting
from ..optional import require
from .options import SCENE_HELP

if TYPE_CHECKING:
    from ..comparison import Cell, CellResult
    from ..experiment import ExperimentConfig

INTERRUPTED, SOME_FAILED = 130, 1
MATCHES = ("steps", "evaluations")


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of the command line."""
    parser = commands.add_parser("compare", help="methods side by side: one picture and one table")
    parser.add_argument("--prompts", nargs="+", required=True, help="one or more, each in quotes")
    parser.add_argument(
        "--methods",
        nargs="+",
        required=True,
        help="names of `methods`, separated by commas or spaces; LABEL=METHOD for a second one of the same method",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--scene", default="image", help=SCENE_HELP)
    parser.add_argument("--prior", default="learned", help="as for run (default %(default)s)")
    parser.add_argument("--device", help="cuda, cpu ...")
    parser.add_argument("--dtype", help="for diffusers: float32, float16 or bfloat16")
    parser.add_argument("--allow-download", action="store_true", help="let diffusers:OWNER/NAME be fetched")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: the preset of the first method)")
    parser.add_argument("--size", type=int, help="pixels of a view (default: the preset's)")
    parser.add_argument(
        "--match",
        default="steps",
        choices=MATCHES,
        help="steps: every method takes as many; evaluations: every method may spend as many noise predictions as the "
        "first one does in its steps (default %(default)s)",
    )
    parser.add_argument("--batch", type=int, help="pictures side by side (default: 8, 1 on a pipeline)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cells, the picture and the tables")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[LABEL:]KEY=VALUE",
        help="a setting of all methods that have it, or of one; see `run --set help`",
    )
    parser.add_argument("--clip", help="folder of a CLIP model of transformers: adds CLIP score and R-precision")
    parser.set_defaults(action=compare)


def compare(arguments: argparse.Namespace) -> int:
    """Run what is not finished, then write grid.png and the tables; 1 if a cell failed, 130 when interrupted."""
    from ..comparison import cells as cell_files
    from ..comparison import run_cells
    from ..experiment import check_config, is_demo

    cells = plan(arguments)
    for cell in {cell.prompt: cell for cell in cells}.values():
        check_config(cell.config)
    clip = None
    if arguments.clip is not None:
        from ..metrics.clip_model import load_clip_model

        clip = load_clip_model(arguments.clip, arguments.allow_download)
    batch = arguments.batch or (8 if is_demo(cells[0].config) else 1)
    tqdm = require("tqdm").tqdm
    require("transformers").utils.logging.disable_progress_bar()
    results: list[CellResult] = []
    code = 0
    with tqdm(total=sum(c.config.optim.n_steps for c in cells), desc="compare", unit="step", disable=None) as bar:

        def on_step(cell: Cell, record: Any, n_cells: int) -> None:
            bar.set_postfix_str(f"{cell.label}, {cell.prompt}", refresh=False)
            bar.update(n_cells)

        def on_result(result: CellResult, fresh: bool) -> None:
            results.append(result)
            where = f"{result.cell.label} on {result.cell.prompt!r}, seed {result.cell.seeds[0]}"
            if not fresh:
                bar.update(result.cell.config.optim.n_steps)
                bar.write(f"{where}: finished before", file=sys.stderr)
            elif result.error:
                bar.write(f"{where}: failed ({result.error})", file=sys.stderr)

        try:
            run_cells(cells, arguments.out, batch, on_step, on_result)
        except KeyboardInterrupt:
            code = INTERRUPTED
    order = {id(cell): i for i, cell in enumerate(cells)}
    results.sort(key=lambda r: order[id(r.cell)])
    if clip is not None:
        results = with_clip(results, arguments.out, clip, arguments.prompts)
    files = write(cells, results, arguments.out, settings_of(arguments, batch))
    print((arguments.out / "table.md").read_text(encoding="utf-8"))
    print(f"wrote to {arguments.out}: {', '.join(files)}, and {cell_files.RESULT} of each cell in a folder of its own")
    if code == INTERRUPTED:
        print("interrupted; the same command goes on with what is missing", file=sys.stderr)
        return code
    return SOME_FAILED if any(r.error for r in results) else 0


def plan(arguments: argparse.Namespace) -> list[Cell]:
    """The cells: prompts x seeds x methods. All share scene, cameras and timesteps of the first method's preset.

    Raises:
        ValueError: an unknown name or setting, or the same label, prompt or seed twice.
    """
    from ..comparison import Cell, count_evaluations, matched_steps
    from ..guidance import METHODS, build_guidance, default_config

    methods = labelled([part for text in arguments.methods for part in text.split(",") if part])
    for kind, values in (("prompt", arguments.prompts), ("seed", arguments.seeds)):
        if len(set(values)) < len(values):
            raise ValueError(f"The same {kind} stands twice in {values}.")
    for name in methods.values():
        default_config(name)  # refuses an unknown one
    by_label = {label: _base(arguments, name) for label, name in methods.items()}
    first = next(iter(by_label.values()))
    by_label = {
        label: replace(first, guidance_name=config.guidance_name, guidance=config.guidance)
        for label, config in by_label.items()
    }
    by_label = assigned(by_label, arguments.set)
    if arguments.match == "evaluations":
        lead = next(iter(by_label.values()))
        guidance = build_guidance(lead.guidance_name, lead.guidance)
        budget = count_evaluations(guidance, lead.optim.n_steps, lead.optim.reuse_steps)
        for label, config in by_label.items():
            guidance = build_guidance(config.guidance_name, config.guidance)
            steps = matched_steps(guidance, budget, config.optim.reuse_steps)
            by_label[label] = replace(config, optim=replace(config.optim, n_steps=steps))
    assert all(isinstance(c.guidance, METHODS[c.guidance_name].config) for c in by_label.values())
    return [
        Cell(label, of_cell(config, prompt, seed))
        for prompt in arguments.prompts
        for seed in arguments.seeds
        for label, config in by_label.items()
    ]


def of_cell(config: ExperimentConfig, prompt: str, seed: int, timestep_seed: int | None = None) -> ExperimentConfig:
    """`config` for one prompt and seed: the seed decides the start of the scene and all draws."""
    return replace(
        config,
        prompt=replace(config.prompt, prompt=prompt),
        scene=replace(config.scene, seed=seed),
        optim=replace(config.optim, seed=seed, timestep_seed=timestep_seed),
    )


def labelled(texts: list[str]) -> dict[str, str]:
    """Method names by label from METHOD or LABEL=METHOD."""
    methods: dict[str, str] = {}
    for text in texts:
        label, equals, name = text.partition("=")
        if not label or (equals and not name) or ":" in label:
            raise ValueError(f"--methods needs METHOD or LABEL=METHOD (no ':' in the label), got {text!r}.")
        if label in methods:
            raise ValueError(f"The label {label!r} stands twice; write LABEL=METHOD to tell two apart.")
        methods[label] = name or label
    if not methods:
        raise ValueError("--methods names no method.")
    return methods


def assigned(by_label: dict[str, ExperimentConfig], assignments: list[str]) -> dict[str, ExperimentConfig]:
    """Configurations with KEY=VALUE set in all that have the key, and LABEL:KEY=VALUE in that one."""
    configs = dict(by_label)
    for text in assignments:
        target, equals, value = text.partition("=")
        label, colon, key = target.rpartition(":")
        if not equals:
            raise ValueError(f"--set needs KEY=VALUE or LABEL:KEY=VALUE, got {text!r}.")
        if colon and label not in configs:
            raise ValueError(f"--set {text!r}: there is no method labelled {label!r}; there are {', '.join(configs)}.")
        if key.partition(".")[0] not in ("guidance", "prompt") and colon:
            raise ValueError(
                f"--set {text!r}: the methods of a comparison share everything but guidance.* and prompt.*; "
                f"leave out {label + ':'!r} to change it for all."
            )
        chosen = [label] if colon else [name for name, c in configs.items() if _has(c, key)]
        if not chosen:
            with_setting(next(iter(configs.values())), key, value)  # says what there is
        for name in chosen:
            configs[name] = with_setting(configs[name], key, value)
    return configs


def _has(config: Any, dotted: str) -> bool:
    for name in dotted.split("."):
        if not hasattr(config, name):
            return False
        config = getattr(config, name)
    return True


def _base(arguments: argparse.Namespace, method: str) -> ExperimentConfig:
    from ..experiment import default_config

    a = arguments
    return default_config(
        a.prompts[0], a.scene, method, a.prior, a.steps, a.seeds[0], a.size, a.device, a.dtype, a.allow_download
    )


def settings_of(arguments: argparse.Namespace, batch: int) -> dict[str, Any]:
    """What was asked for, as plain data."""
    names = ("prompts", "methods", "seeds", "scene", "prior", "steps", "size", "match", "set", "clip")
    return {name: getattr(arguments, name) for name in names} | {"batch": batch}


def with_clip(results: list[CellResult], out: Path, clip: Any, prompts: list[str]) -> list[CellResult]:
    """Results with clip_score, and clip_r_precision where there are several prompts (means over the views)."""
    import torch

    from ..comparison.cells import VIEWS, cell_folder
    from ..comparison.views import read_views
    from ..metrics import clip_score, r_precision

    texts = clip.embed_texts(prompts)
    scored = []
    for result in results:
        if not result.error:
            images = clip.embed_images(read_views(cell_folder(out, result.cell) / VIEWS))
            own = prompts.index(result.cell.prompt)
            added = {"clip_score": float(clip_score(images, texts[own : own + 1]).mean())}
            if len(prompts) > 1:
                added["clip_r_precision"] = r_precision(images, texts, torch.full((len(images),), own))
            result = replace(result, metrics=result.metrics | added)
        scored.append(result)
    return scored


def write(cells: list[Cell], results: list[CellResult], out: Path, settings: dict[str, Any]) -> list[str]:
    """grid.png and the tables; returns their names."""
    from ..comparison import cell_folder, montage, write_tables
    from ..comparison.cells import VIEWS
    from ..comparison.views import read_views
    from ..grid import labelled_grid
    from ..media import write_png

    columns = list(dict.fromkeys(cell.label for cell in cells))
    rows = list(dict.fromkeys(cell.row for cell in cells))
    tiles: list[list[Any]] = [["not run"] * len(columns) for _ in rows]
    for result in results:
        if result.error:
            tile = f"failed\n{result.error}"
        else:
            tile = montage(read_views(cell_folder(out, result.cell) / VIEWS))
        tiles[rows.index(result.cell.row)][columns.index(result.cell.label)] = tile
    write_png(labelled_grid(tiles, rows, columns), out / "grid.png")
    return ["grid.png", *write_tables(results, out, settings)]
