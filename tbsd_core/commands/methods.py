"""`methods` lists the methods; `presets` shows the settings that a run begins with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..tasks import NEW, TASKS
from .options import SCENE_HELP

if TYPE_CHECKING:
    from ..guidance import MethodSpec


def register(commands: Any) -> None:
    """Add both to the command line."""
    methods = commands.add_parser("methods", help="list the guidance methods, or one with all its settings")
    methods.add_argument("name", nargs="?", metavar="NAME", help="a method, to see its settings")
    methods.set_defaults(action=_methods)

    presets = commands.add_parser("presets", help="the settings that a run starts with, and the source of each")
    presets.add_argument("--family", default="sd15", help="sd15, sd21_base, sd21_v, sdxl, sd3, flux ... or demo")
    presets.add_argument("--scene", default="nerf", help=SCENE_HELP)
    presets.add_argument("--method", default="tbsd", help="guidance method (default %(default)s)")
    presets.add_argument("--task", default=NEW, help=f"{', '.join(TASKS)} (default %(default)s)")
    presets.set_defaults(action=_presets)


def _methods(arguments: argparse.Namespace) -> int:
    from ..guidance import METHODS, find_method

    if arguments.name is not None:
        spec = find_method(arguments.name)
        _show(spec)
        _show_settings(spec)
        return 0
    for spec in METHODS.values():
        _show(spec)
    for spec in METHODS.values():
        _show_variants(spec)
    return 0


def _show(spec: MethodSpec) -> None:
    print(f"{spec.name}\n  {spec.summary}\n  {spec.equation}\n  {spec.paper}")
    print(f"  noise predictions per view and step: {spec.evaluations}")


def _show_variants(spec: MethodSpec) -> None:
    from ..configuration import all_settings

    defaults = all_settings(spec.config())
    for name, (config, summary) in spec.variants.items():
        changed = [f"--set guidance.{k}={v}" for k, v in all_settings(config).items() if v != defaults[k]]
        print(f"{name}\n  {summary}\n  is: --method {spec.name} {' '.join(changed)}")


def _show_settings(spec: MethodSpec) -> None:
    from ..settings import described, range_of

    print(f"settings, for --set; a model's own values are in `presets --method {spec.name}` says:")
    for name, value, hint in described(spec.config()):
        print(f"  guidance.{name} = {'null' if value is None else value}  {range_of(hint) if hint else ''}".rstrip())
        if hint and (hint.meaning or hint.tooltip):
            print(f"      {hint.meaning or hint.tooltip}")


def _presets(arguments: argparse.Namespace) -> int:
    from ..guidance import find_method
    from ..presets import describe

    find_method(arguments.method)  # refuses an unknown one
    print(describe(arguments.family, arguments.scene, arguments.method, task=arguments.task))
    return 0
