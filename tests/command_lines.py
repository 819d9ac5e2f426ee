"""Whether the commands that documents name are commands: each goes through the parser of its program.

`python -m tests.command_lines` reads {"parse": [...], "run": [...]} from its input, a command in each string, and
writes {"wrong": {command: why}, "printed": {command: characters}}. Those to run are run; the others are parsed alone.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

from tbsd_core.cli import _parser, main
from tbsd_core.commands.options import base_config, study_configs, with_assignments

ROOT = Path(__file__).resolve().parents[1]
TOOLS = {".", "cd", "git"}  # of others: what they can do is theirs to say


class Parsed(Exception):
    """A module has come as far as its arguments."""


def check(command: str) -> None:
    """Raises ValueError for a command that its program would refuse."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if words[0] == "make":
        check_make(words[1:])
    elif words[0] == "torchrun" or words[:2] == ["python", "-m"]:
        at = words.index("-m") + 1
        check_module(words[at], words[at + 1 :])
    elif words[0] == "python":
        if not (ROOT / words[1]).is_file():
            raise ValueError(f"there is no {words[1]}")
    elif words[0] == "pip":
        check_pip(words[1:])
    elif words[0] not in TOOLS:
        raise ValueError(f"{words[0]} is not known here")


def check_make(words: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(word.split("=", 1) for word in words if "=" in word)
    for target in [word for word in words if "=" not in word]:
        if not re.search(rf"^{re.escape(target)}:", text, re.MULTILINE):
            raise ValueError(f"the Makefile has no {target}")
        if target == "gpu-check":
            check_module("benchmarks.gpu_check", shlex.split(variables.get("ARGS", "")))
    for name in variables:
        if not re.search(rf"\$\({name}\)|^{name} \?=", text, re.MULTILINE):
            raise ValueError(f"the Makefile does not read {name}")


def check_pip(words: list[str]) -> None:
    known = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "requirements.txt"))
    if words[:2] == ["install", "-r"]:
        if not (ROOT / words[2]).is_file():
            raise ValueError(f"there is no {words[2]}")
    elif words[0] != "install" or (words[1] not in known and words[1] != "comfy-cli"):
        raise ValueError("no requirement of the pack")


def check_module(module: str, words: list[str]) -> None:
    if module == "tbsd_core":
        check_settings(parsed(_parser(), words))
        return
    found = importlib.util.find_spec(module)
    if found is None:
        raise ValueError(f"there is no module {module}")
    entry = importlib.util.find_spec(f"{module}.__main__") if found.submodule_search_locations else found
    if entry is None or entry.origin is None:
        raise ValueError(f"{module} is not a program")
    if "ArgumentParser" in Path(entry.origin).read_text(encoding="utf-8"):
        stop_at_arguments(module, words)


def stop_at_arguments(module: str, words: list[str]) -> None:
    """Run a module until it has read its arguments."""

    def stop(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        parsed(parser, words)
        raise Parsed

    with patch.object(argparse.ArgumentParser, "parse_args", stop), patch.object(sys, "argv", [module, *words]):
        try:
            runpy.run_module(module, run_name="__main__")
        except Parsed:
            return
    raise ValueError(f"{module} has not read its arguments")


def parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            known, unknown = parser.parse_known_args(words)
    except SystemExit as end:
        if end.code == 0:  # --help
            return argparse.Namespace()
        raise ValueError(said.getvalue().strip().splitlines()[-1]) from None
    if unknown:
        raise ValueError(f"unknown arguments: {' '.join(unknown)}")
    return known


def check_settings(a: argparse.Namespace) -> None:
    """That the presets which --set changes have these settings."""
    given = [text for text in getattr(a, "set", []) if text != "help"]
    if not given or getattr(a, "comfyui", None):  # the workflow has the settings of a sweep on servers
        return
    if a.command in ("compare", "sweep"):
        study_configs(a, "a brick house")
    elif a.prompt is not None:
        with_assignments(base_config(a), given)


def wrong(commands: list[str]) -> dict[str, str]:
    found = {}
    for command in commands:
        try:
            check(command)
        except ValueError as error:
            found[command] = str(error)
    return found


def printed(commands: list[str]) -> dict[str, int]:
    """How much commands of the command line print; one that fails prints nothing."""
    found = {}
    for command in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = main(shlex.split(command, comments=True)[3:])
        found[command] = len(said.getvalue()) if code == 0 else 0
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps({"wrong": wrong(asked["parse"]), "printed": printed(asked["run"])}))
