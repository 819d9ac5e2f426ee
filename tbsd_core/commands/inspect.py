"""inspect: the directions that methods are made of, as pictures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .options import add_run_arguments, run_config, with_assignments
from .series import consume, finish, load_prior

if TYPE_CHECKING:
    from torch import Tensor

    from ..experiment import Experiment, ExperimentConfig
    from ..guidance.bridge import BridgeConfig
    from ..priors.base import TextPrior


def register(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "inspect", help="delta_cls, delta_post (GNP, TNP) and delta_Bridge of a picture, decoded"
    )
    add_run_arguments(parser, needs_prompt=False)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--image", type=Path, help="look at this picture instead of making one with --method")
    source.add_argument("--run", type=Path, help="look at the run of this folder or file; its settings count")
    parser.add_argument("--t", type=float, nargs="+", help="noise levels in [0, 1] (default 0.2 0.4 0.6 0.8)")
    parser.add_argument("--progress", type=float, nargs="+", help="for delta_Bridge and the method (default 0.25)")
    parser.add_argument("--post", default="target", help="post directions from target, or uncond (default %(default)s)")
    parser.add_argument("--shown", default="decode", help="decode, or change of the picture (default %(default)s)")
    parser.add_argument("--noises", type=int, default=4, help="draws of noise to average (default %(default)s)")
    parser.set_defaults(action=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from ..analysis.directions import DirectionRow, DirectionsConfig, directions_sheet, inspect_directions
    from ..analysis.pictures import front, view
    from ..optim.resolution import enlarged

    config = _config(arguments)
    settings = DirectionsConfig(
        t=tuple(arguments.t or DirectionsConfig.t),
        progress=tuple(arguments.progress or DirectionsConfig.progress),
        post=arguments.post,
        shown=arguments.shown,
        n_noises=arguments.noises,
        seed=arguments.seed,
    )
    image = None if arguments.image is None else _read_image(arguments.image, config.optim.size)
    prior = load_prior(config)
    settings = replace(settings, bridge=_bridge(config))
    rows: list[DirectionRow] = []

    def finished(complete: bool) -> int:
        sheet = partial(directions_sheet, rows, prior, settings, config.prompt.prompt)
        return finish(sheet, bool(rows), arguments, "directions", complete)

    experiment = _experiment(arguments, config, prior)
    if experiment is None:
        return finished(False)
    views = None
    if image is None:
        image = view(experiment.scene, prior, config.cameras, config.optim.size)
        views = front(experiment.scene, config.cameras)[1]
    latents = prior.encode(enlarged(image.to(config.device), config.optim.encode_size)).detach()
    try:
        for row in inspect_directions(prior, experiment.prompts, latents, settings, experiment.guidance, views):
            rows.append(row)
    except KeyboardInterrupt:
        return finished(False)
    return finished(True)


def _config(arguments: argparse.Namespace) -> ExperimentConfig:
    from ..analysis.directions import check_inspected
    from ..experiment import check_config, stored_config
    from ..guidance import METHODS, build_guidance

    if arguments.run is None:
        if arguments.prompt is None:
            raise ValueError("--prompt is missing: say what the picture shows, e.g. --prompt 'a brick house'.")
        if arguments.method in METHODS:  # before a run is asked for the source that it needs
            check_inspected(build_guidance(arguments.method))
        return run_config(arguments)
    config = stored_config(arguments.run)
    check_inspected(build_guidance(config.guidance_name))
    if arguments.prompt not in (None, config.prompt.prompt):
        raise ValueError(f"The run in {arguments.run} has the prompt {config.prompt.prompt!r}; leave out --prompt.")
    # the machine may be another one
    config = replace(config, device=arguments.device or config.device, dtype=arguments.dtype or config.dtype)
    config = with_assignments(config, arguments.set)
    check_config(config)
    return config


def _bridge(config: ExperimentConfig) -> BridgeConfig:
    """The preset of Bridge for the model and the scene at hand."""
    from ..experiment import model_shape, with_preset
    from ..guidance import default_config

    bridge = replace(config, guidance_name="bridge", guidance=default_config("bridge"))
    return with_preset(bridge, model_shape(config.prior).family).guidance


def _experiment(arguments: argparse.Namespace, config: ExperimentConfig, prior: TextPrior) -> Experiment | None:
    """The experiment to inspect, at the step where it stopped or at its end; with --image, before its first step.

    None if it was interrupted.
    """
    from ..analysis.pictures import Result, watch_pictures
    from ..experiment import read_newest, resumed
    from ..study import Entry

    if arguments.run is not None:
        stored = read_newest(arguments.run)
        if stored.warning:
            print(stored.warning, file=sys.stderr)
        return resumed(stored, config, prior)[0]
    entry = Entry(label=config.guidance_name, config=config)
    if arguments.image is not None:
        return entry.begin(prior)
    results: list[Result] = []
    return results[0].experiment if consume(watch_pictures([entry], prior, results), "inspect") else None


def _read_image(path: Path, size: int) -> Tensor:
    """[1, 3, size, size] in [0, 1]: the middle square of a picture file."""
    from ..media import read_square

    try:
        return read_square(path, size)[None]
    except OSError as error:
        raise ValueError(f"The picture {path} cannot be read ({error}).") from error
