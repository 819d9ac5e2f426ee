"""Arguments that the commands that make runs share, and the experiments that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..card_presets import MEMORIES, nearest_memory
from ..configuration import with_setting
from ..guidance import METHODS
from ..scenes import SCENES
from ..tasks import NEW, TASKS

if TYPE_CHECKING:
    from ..experiment import ExperimentConfig, MeshInput, RegionInput
    from ..study import Entry

    Commands = argparse._SubParsersAction  # the sub-parsers of the command line, of whatever class of parser

PRIOR = "learned"
SCENE_HELP = f"{', '.join(SCENES)} (default %(default)s)"


def add_run_arguments(
    parser: argparse.ArgumentParser,
    method: str | None = "tbsd",
    scene: str = "image",
    needs_prompt: bool = True,
    needs_out: bool = True,
) -> None:
    """Add --prompt, --scene, --method (unless None) and the other arguments of `run`; --out is the folder of the
    results."""
    parser.add_argument("--prompt", required=needs_prompt, help="what to make; see `vocabulary` for the demo models")
    add_common_arguments(parser, scene, needs_out=needs_out)
    add_mesh_arguments(parser)
    if method is not None:
        parser.add_argument("--method", default=method, help="guidance method (default %(default)s)")


def add_common_arguments(
    parser: argparse.ArgumentParser, scene: str = "image", one_seed: bool = True, needs_out: bool = True
) -> None:
    parser.add_argument("--scene", default=scene, help=SCENE_HELP)
    tasks = "; ".join(f"{name}: {task.summary}" for name, task in TASKS.items())
    parser.add_argument(
        "--task", default=NEW, help=f"purpose of the run, for its preset (default %(default)s). {tasks}"
    )
    priors = "learned, multiview, exact, or diffusers:PATH (default %(default)s)"
    parser.add_argument("--prior", default=PRIOR, help=priors)
    parser.add_argument("--device", help="cuda, cpu ... (default: cpu; for diffusers cuda, if there is one)")
    parser.add_argument("--dtype", help="for diffusers: float32, float16 or bfloat16 (default: float16 on cuda)")
    parser.add_argument(
        "--memory",
        choices=("auto", *map(str, MEMORIES)),
        default="auto",
        help="GB of memory of the card that the preset must fit (default %(default)s: this computer's card)",
    )
    parser.add_argument("--allow-download", action="store_true", help="allow diffusers:OWNER/NAME to be downloaded")
    parser.add_argument("--steps", type=int, help="optimiser steps of each run (default: the preset's)")
    if one_seed:
        parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, help="pixels of a view (default: the preset's)")
    parser.add_argument("--out", type=Path, required=needs_out, help="folder for the results")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its dotted name, e.g. guidance.guidance_scale=25; `run --set help` lists all",
    )


def add_mesh_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of scenes that paint a mesh; `mesh_input` reads them."""
    parser.add_argument("--mesh", help="for --scene mesh_texture: file to paint (.glb .obj .ply .stl), or sample:house")
    parser.add_argument("--up", default="y", help="upward axis of the mesh, y or z (default %(default)s)")
    parser.add_argument(
        "--turn", type=float, default=0.0, help="degrees to turn the mesh so that its front faces the camera"
    )
    parser.add_argument("--keep-colors", action="store_true", help="start from the mesh's own colours")
    parser.add_argument(
        "--mask", help="with --keep-colors: a picture of the size of the mesh's texture, white where it may change"
    )
    parser.add_argument(
        "--keep-view",
        action="append",
        default=[],
        metavar="AZ,EL",
        help="with --keep-colors: lock the part that a camera at this azimuth and elevation sees; repeat it for "
        "several views",
    )
    parser.add_argument(
        "--part", action="append", type=int, default=[], help="only this connected part may change; 0 is the largest"
    )
    parser.add_argument(
        "--material",
        action="append",
        default=[],
        metavar="NAME",
        help="only faces with this material of a GLB file may change; its name or number",
    )
    parser.add_argument(
        "--border",
        type=float,
        default=4.0,
        help="width of the blend between old and new, in texels (default %(default)s)",
    )


def add_edit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the start of methods that edit, apart from a mesh; `with_start` reads them."""
    picture = "for --scene image: picture to start from, or 'sample:brick house'"
    parser.add_argument("--image", dest="start_image", metavar="FILE", help=picture)
    parser.add_argument(
        "--source-prompt", default="", help="for methods that edit (dds ...): the scene before the edit, in words"
    )


def add_noise_argument(parser: argparse.ArgumentParser) -> None:
    """For benchmarks: a run's own setting is --set rehearsal_noise=4."""
    parser.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="rehearse real models: white noise on the gradient, in multiples of its RMS, such as 4 (default none)",
    )


def card_memory(arguments: argparse.Namespace) -> int | None:
    """GB of the card that --memory names; None if there is no CUDA card, or the run does not use one."""
    if arguments.memory != "auto":
        return int(arguments.memory)
    import torch

    device = arguments.device or ("cuda" if arguments.prior.startswith("diffusers:") else "cpu")
    device = "cuda:0" if device == "cuda" else device
    if device not in [f"cuda:{i}" for i in range(torch.cuda.device_count())]:
        return None  # a later check reports an invalid device
    return nearest_memory(torch.cuda.get_device_properties(device).total_memory)


def mesh_input(arguments: argparse.Namespace) -> MeshInput:
    """The mesh to paint. Raises ValueError for a mesh without a scene that paints it, or a scene without its mesh."""
    from ..experiment import MeshInput
    from ..mesh import PlacementConfig

    painted = [name for name, spec in SCENES.items() if spec.paints_mesh]
    if (arguments.mesh is not None) != (arguments.scene in painted):
        raise ValueError(f"--mesh and --scene {' or '.join(painted)} belong together: name both, or neither.")
    placement = PlacementConfig(up=arguments.up, turn=arguments.turn)
    return MeshInput(file=arguments.mesh or "", keep_colors=arguments.keep_colors, placement=placement)


def with_start(config: ExperimentConfig, arguments: argparse.Namespace) -> ExperimentConfig:
    """`config` with the picture, the source prompt and the part of a mesh that may change. A method that edits a mesh
    starts from its colours.

    Raises:
        ValueError: a picture for another scene, or a source prompt that is the prompt.
    """

    from ..experiment.config import ImageInput

    image = getattr(arguments, "start_image", None)  # of the commands that have it
    if image is not None and config.scene_name != "image":
        raise ValueError(f"--image is the start of an image scene, got {config.scene_name}: add --scene image.")
    colors = config.mesh.keep_colors or (bool(config.mesh.file) and METHODS[config.guidance_name].edits)
    return replace(
        config,
        prompt=replace(config.prompt, source=getattr(arguments, "source_prompt", "")),
        image=ImageInput(file=image or ""),
        mesh=replace(config.mesh, keep_colors=colors),
        region=region_input(arguments, colors),
    )


def region_input(arguments: argparse.Namespace, keeps_colors: bool) -> RegionInput:
    """Where the mesh may change.

    Raises:
        ValueError: a view that is not two numbers, or a region of a mesh whose colours are not kept.
    """
    from ..experiment import RegionInput

    views = []
    for text in arguments.keep_view:
        try:
            azimuth, elevation = map(float, text.split(","))
        except ValueError as error:
            raise ValueError(f"--keep-view needs azimuth and elevation, such as 0,15, got {text!r}.") from error
        views.append((azimuth, elevation))
    asked = RegionInput(
        mask=arguments.mask or "",
        keep_views=tuple(views),
        parts=tuple(arguments.part),
        materials=tuple(arguments.material),
        border=arguments.border,
    )
    if asked.is_asked_for and not keeps_colors:
        raise ValueError(
            "--mask, --keep-view, --part and --material lock colours of a given mesh: add --mesh and --keep-colors."
        )
    return asked


def base_config(
    arguments: argparse.Namespace, prompt: str | None = None, method: str | None = None
) -> ExperimentConfig:
    """The whole preset of the method of these arguments, before --set.

    Args:
        prompt, method: instead of the prompt and method of the arguments.
    """
    from ..experiment import default_config

    config = default_config(
        arguments.prompt if prompt is None else prompt,
        arguments.scene,
        arguments.method if method is None else method,
        arguments.prior,
        arguments.steps,
        arguments.seed,
        arguments.size,
        arguments.device,
        arguments.dtype,
        arguments.allow_download,
        mesh_input(arguments),
        card_memory(arguments),
        arguments.task,
    )
    return with_start(config, arguments)


def run_config(arguments: argparse.Namespace, prompt: str | None = None, method: str | None = None) -> ExperimentConfig:
    """The checked configuration of these arguments; see `base_config`."""
    from ..experiment import check_config
    from ..experiment.source import check_source_config

    config = newly_assigned(base_config(arguments, prompt, method), arguments.set)
    check_config(config)
    check_source_config(config)
    return config


def newly_assigned(config: ExperimentConfig, assignments: Sequence[str]) -> ExperimentConfig:
    """A new run's `config` with settings of --set. A scene follows from the size of its views and from the seed, unless
    it gets its own."""
    from ..experiment.defaults import after_size

    before, config = config, with_assignments(config, assignments)
    named = {text.partition("=")[0] for text in assignments}
    if "optim.seed" in named and "scene.seed" not in named:
        config = with_setting(config, "scene.seed", str(config.optim.seed))
    return after_size(config, before, named)


# options that have their meaning for every run, whatever it begins with
EVERY_RUN = ("out", "set", "device", "dtype", "allow_download", "autosave", "cameras")


def refuse_all_but(arguments: argparse.Namespace, taken: Sequence[str], why: str) -> None:
    """Raise ValueError for options that were given and would have no effect."""
    given = [
        action.option_strings[0]
        for action in arguments.parser._actions
        if action.dest not in (*taken, "help") and getattr(arguments, action.dest) != action.default
    ]
    if given:
        raise ValueError(f"{why}: leave out {' and '.join(given)}, which would have no effect.")


def with_assignments(config: ExperimentConfig, assignments: Iterable[str], prefix: str = "") -> ExperimentConfig:
    """`config` with settings of the form KEY=VALUE."""
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set needs KEY=VALUE, got {assignment!r}.")
        config = with_setting(config, prefix + key, value)
    return config


def method_entries(arguments: argparse.Namespace) -> list[Entry]:
    """An experiment for each of --methods: "bridge,negative=negative" has settings of its own."""
    from ..study import Entry, with_labels

    configs = []
    for text in arguments.methods:
        name, *own = text.split(",")
        configs.append(with_assignments(run_config(arguments, method=name), own, "guidance."))
    return with_labels([Entry(label="", config=config) for config in configs])


def add_study_arguments(parser: argparse.ArgumentParser, methods: Sequence[str] | None = None) -> None:
    """Add --methods, --seeds and the other arguments that studies share; with `methods` None the user must name
    them."""
    parser.add_argument(
        "--methods",
        nargs="+",
        required=methods is None,
        default=methods,
        help="names of `methods`, separated by commas or spaces, each with its own preset; LABEL=METHOD for a "
        "second one of the same method; --set LABEL:KEY=VALUE is for one of them"
        + (f" (default: {methods[0]})" if methods else ""),
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    add_common_arguments(parser, one_seed=False)
    add_mesh_arguments(parser)
    add_edit_arguments(parser)


def study_configs(arguments: argparse.Namespace, prompt: str) -> dict[str, ExperimentConfig]:
    """The ExperimentConfig of each label on one prompt, with the settings of --set.

    Raises:
        ValueError: an unknown name or setting, or the same label twice.
    """
    from ..experiment import default_config
    from ..experiment.source import check_source_config
    from ..study import assigned, labelled

    a = arguments
    mesh, memory = mesh_input(a), card_memory(a)
    given = (a.prior, a.steps, a.seeds[0], a.size, a.device, a.dtype, a.allow_download, mesh, memory, a.task)
    made = {label: default_config(prompt, a.scene, name, *given) for label, name in labelled(a.methods).items()}
    configs = assigned({label: with_start(config, a) for label, config in made.items()}, a.set)
    for config in configs.values():
        check_source_config(config)
    return configs
