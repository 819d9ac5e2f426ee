"""inspect: the directions that methods are made of, as pictures."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from .options import Loaded, add_run_arguments, case_of, consume, finish, run_config, with_assignments


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "inspect", help="delta_cls, delta_post (GNP, TNP) and delta_Bridge of a picture, decoded"
    )
    add_run_arguments(parser, needs_prompt=False)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--image", type=Path, help="look at this picture instead of making one with --method")
    source.add_argument("--run", type=Path, help="look at the run in this folder, finished or not; its settings count")
    parser.add_argument("--t", type=float, nargs="+", help="noise levels in [0, 1] (default 0.2 0.4 0.6 0.8)")
    parser.add_argument("--progress", type=float, nargs="+", help="for delta_Bridge and the method (default 0.25)")
    parser.add_argument("--post", default="target", help="post directions from target, or uncond (default %(default)s)")
    parser.add_argument("--shown", default="decode", help="decode, or change of the picture (default %(default)s)")
    parser.add_argument("--noises", type=int, default=4, help="draws of noise to average (default %(default)s)")
    parser.set_defaults(action=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from ..analysis.cases import front, view
    from ..analysis.directions import DirectionsConfig, directions_sheet, inspect_directions
    from ..cameras.sampling import view_name
    from ..experiment import default_config
    from ..guidance import build_guidance
    from ..optim.loop import enlarged

    config = _config(arguments)
    prompt = config.prompt.prompt
    bridge = default_config(prompt, config.scene_name, "bridge", config.prior, device=config.device).guidance
    given = {"t": arguments.t, "progress": arguments.progress}
    settings = DirectionsConfig(
        post=arguments.post,
        shown=arguments.shown,
        n_noises=arguments.noises,
        seed=arguments.seed,
        bridge=bridge,
        **{name: tuple(values) for name, values in given.items() if values},
    )
    loaded = Loaded.of(config)
    source = _picture(arguments, config, loaded)
    if source is None:
        return finish(lambda: None, [], arguments, "directions", False)
    scene, images = source
    if scene is not None:
        images = view(scene, loaded.prior, config.cameras, config.optim.size)
    views = None
    if scene is not None and scene.uses_cameras:
        views = [view_name(0.0, front(scene, config.cameras)[1])] * len(images)
    latents = loaded.prior.encode(enlarged(images.to(config.device), config.optim.encode_size)).detach()
    guidance = build_guidance(config.guidance_name, config.guidance)
    rows = []
    try:
        for row in inspect_directions(loaded.prior, loaded.prompts, latents, settings, guidance, views):
            rows.append(row)
        complete = True
    except KeyboardInterrupt:
        complete = False
    return finish(
        lambda: directions_sheet(rows, loaded.prior, settings, prompt),
        rows,
        arguments,
        "directions",
        complete,
    )


def _config(arguments: argparse.Namespace) -> Any:
    from ..experiment import check_config, config_from_plain
    from ..optim import read_config

    if arguments.run is None:
        if arguments.prompt is None:
            raise ValueError("--prompt is missing: say what the picture shows, e.g. --prompt 'a brick house'.")
        return run_config(arguments)
    config = config_from_plain(read_config(arguments.run))
    if arguments.prompt not in (None, config.prompt.prompt):
        raise ValueError(f"The run in {arguments.run} has the prompt {config.prompt.prompt!r}; leave out --prompt.")
    given = {"device": arguments.device, "dtype": arguments.dtype}  # the machine may be another one
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    config = with_assignments(config, arguments.set)
    check_config(config)
    return config


def _picture(arguments: argparse.Namespace, config: Any, loaded: Loaded) -> tuple[Any, Any] | None:
    """(scene, None) or (None, pictures [B, 3, H, W]); None where making one was interrupted."""
    from ..analysis.cases import run_cases
    from ..optim import OptimState, create_adapter, load_checkpoint

    if arguments.image is not None:
        return None, _read_image(arguments.image, config.optim.size)
    if arguments.run is not None:
        case = case_of(config, loaded, "")
        state = OptimState.create(case.scene, case.optim, create_adapter(loaded.prior, case.guidance, 0))
        load_checkpoint(arguments.run, case.scene, state)
        return case.scene.to(config.device), None
    results: list = []
    steps = run_cases(
        loaded.prior, [case_of(config, loaded, config.guidance_name)], config.cameras, results, device=config.device
    )
    return (results[0].scene, None) if consume(steps, f"{config.guidance_name} on {config.scene_name}") else None


def _read_image(path: Path, size: int) -> Any:
    """[1, 3, size, size] in [0, 1]: the middle square of a picture file."""
    import numpy as np
    import torch

    from ..optional import require

    pil, ops = require("PIL.Image", "pillow"), require("PIL.ImageOps", "pillow")
    try:
        with pil.open(path) as file:
            image = ops.fit(file.convert("RGB"), (size, size), pil.Resampling.LANCZOS)
    except OSError as error:
        raise ValueError(f"The picture {path} cannot be read ({error}).") from error
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
