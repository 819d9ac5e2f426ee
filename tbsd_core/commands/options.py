"""What the commands that make runs have in common: their arguments, and the run these describe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configuration import with_setting
from ..optional import require

if TYPE_CHECKING:
    from ..experiment import MeshInput

INTERRUPTED = 130  # exit code
SCENE_HELP = "image, latent, nerf, gaussian or mesh_texture (default %(default)s)"


def add_run_arguments(
    parser: argparse.ArgumentParser, method: str | None = "tbsd", scene: str = "image", needs_prompt: bool = True
) -> None:
    """--prompt, --scene, --method (unless None) and what else `run` takes; --out is the folder of the results."""
    parser.add_argument(
        "--prompt", required=needs_prompt, help="what to make; see `vocabulary` for the embedded priors"
    )
    add_common_arguments(parser, scene)
    if method is not None:
        parser.add_argument("--method", default=method, help="guidance method (default %(default)s)")


def add_common_arguments(parser: argparse.ArgumentParser, scene: str = "image", one_seed: bool = True) -> None:
    parser.add_argument("--scene", default=scene, help=SCENE_HELP)
    parser.add_argument("--prior", default="learned", help="learned, exact, or diffusers:PATH (default %(default)s)")
    parser.add_argument("--device", help="cuda, cpu ... (default: the cpu; for diffusers cuda where there is one)")
    parser.add_argument("--dtype", help="for diffusers: float32, float16 or bfloat16 (default: float16 on cuda)")
    parser.add_argument("--steps", type=int, help="optimiser steps of each run (default: the preset's)")
    if one_seed:
        parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, help="pixels of a view (default: the preset's)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture and its numbers")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of `run`, by its dotted name"
    )


def add_mesh_arguments(parser: argparse.ArgumentParser) -> None:
    """What a scene that paints a mesh needs; `mesh_input` reads it."""
    parser.add_argument("--mesh", help="for --scene mesh_texture: file to paint (.glb .obj .ply .stl), or sample:house")
    parser.add_argument("--up", default="y", help="its upward axis, y or z (default %(default)s)")
    parser.add_argument("--turn", type=float, default=0.0, help="degrees to turn it so that its front faces the camera")
    parser.add_argument("--keep-colors", action="store_true", help="start from the colours that it has")


def mesh_input(arguments: argparse.Namespace) -> MeshInput:
    """The mesh to paint. Raises ValueError for one without a scene that paints it, or the other way round."""
    from ..experiment import MeshInput
    from ..mesh import PlacementConfig

    if (arguments.mesh is not None) != (arguments.scene == "mesh_texture"):
        raise ValueError("--mesh and --scene mesh_texture belong together: name both, or neither.")
    placement = PlacementConfig(up=arguments.up, turn=arguments.turn)
    return MeshInput(file=arguments.mesh or "", keep_colors=arguments.keep_colors, placement=placement)


def run_config(arguments: argparse.Namespace, **changes: Any) -> Any:
    """The checked ExperimentConfig of these arguments; `changes` replace arguments of `default_config`."""
    from ..experiment import check_config, default_config

    values = {
        "prompt": getattr(arguments, "prompt", None),
        "scene": arguments.scene,
        "method": getattr(arguments, "method", None),
        "prior": arguments.prior,
        "n_steps": arguments.steps,
        "seed": arguments.seed,
        "size": arguments.size,
        "device": arguments.device,
        "dtype": arguments.dtype,
    }
    config = default_config(**{**values, **changes})
    config = with_assignments(config, arguments.set)
    check_config(config)
    return config


def with_assignments(config: Any, assignments: Iterable[str], prefix: str = "") -> Any:
    """`config` with settings of the form KEY=VALUE."""
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"A setting needs the form KEY=VALUE, got {assignment!r}.")
        config = with_setting(config, prefix + key, value)
    return config


def method_config(arguments: argparse.Namespace, text: str) -> Any:
    """The ExperimentConfig of a method with settings of its own: "bridge,negative=negative"."""
    name, *own = text.split(",")
    return with_assignments(run_config(arguments, method=name), own, "guidance.")


@dataclass
class Loaded:
    """A prior with the prompts of a run."""

    prior: Any
    prompts: Any

    @classmethod
    def of(cls, config: Any, prior: Any = None) -> Loaded:
        """Load the prior (unless it is given) and encode the prompts."""
        from ..prompts import build_texts, encode_texts
        from ..experiment import read_prior

        require("transformers").utils.logging.disable_progress_bar()  # its bar would hide ours
        prior = prior or read_prior(config)
        return cls(prior, encode_texts(build_texts(config.prompt), prior.encode_prompt))


def case_of(config: Any, loaded: Loaded, label: str, settings: dict[str, Any] | None = None, scene: Any = None) -> Any:
    """The analysis.cases.Case of a ExperimentConfig, from its own start or from `scene`."""
    from ..analysis.cases import Case
    from ..guidance import build_guidance
    from ..scenes import SCENES

    return Case(
        label=label,
        guidance=build_guidance(config.guidance_name, config.guidance),
        prompts=loaded.prompts,
        scene=SCENES[config.scene_name].scene(config.scene) if scene is None else scene,
        optim=config.optim,
        settings=settings or {},
    )


def consume(steps: Iterable[Any], title: str) -> bool:
    """Run to the end with a progress bar; False where the user interrupted it.

    Args:
        steps: objects with `done`, `total` and `label`.
    """
    tqdm = require("tqdm").tqdm
    with tqdm(desc=title, unit="step", disable=None) as bar:
        try:
            for step in steps:
                bar.total, bar.n = step.total, step.done
                bar.set_postfix_str(step.label, refresh=False)
                bar.refresh() if step.done == step.total else bar.update(0)
        except KeyboardInterrupt:
            return False
    return True


def with_labels(cases: list[Any]) -> list[Any]:
    """The cases with labels that tell their methods apart."""
    from ..analysis.cases import labels_of

    labels = labels_of([case.guidance for case in cases])
    return [replace(case, label=label) for case, label in zip(cases, labels, strict=True)]


def finish(
    make_sheet: Callable[[], Any],  # the Sheet of what there is
    parts: Sequence[Any],  # what it is made of: CaseResults, or anything else that is not empty once there is something
    arguments: argparse.Namespace,
    name: str,
    complete: bool,
) -> int:
    """Write the sheet, say so, and return the exit code."""
    if not any(getattr(part, "pictures", True) for part in parts):
        print("interrupted before there was anything to show", file=sys.stderr)
        return INTERRUPTED
    picture, numbers = make_sheet().write(arguments.out, name)
    print(f"wrote {picture} and {numbers.name}")
    if not complete:
        print("interrupted: the sheet holds what was done by then", file=sys.stderr)
        return INTERRUPTED
    return 0
