"""A ComfyUI workflow in API format for one cell: its prompt, seed and method set on the nodes they belong to."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..guidance import METHODS

DEFAULT = Path(__file__).with_name("text_to_image.json")
MAX_BYTES = 16 * 2**20
SETTINGS_NODE = "TBSD_RecommendedSettings"
PROMPT_NODE, PROMPT_INPUT = "TBSD_PromptEncode", "prompt"
SEED_INPUTS = ("seed", "noise_seed")
METHOD_NODES = {name: spec.node for name, spec in METHODS.items()}

Workflow = dict[str, dict[str, Any]]  # nodes by id
NodeInfo = dict[str, Any]  # /object_info of a node class


def read_workflow(path: Path) -> Workflow:
    """A workflow in API format.

    Raises:
        ValueError: it is something else; the format that ComfyUI's menu saves is named.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {MAX_BYTES} are read.")
    try:
        stored = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}).") from None
    if isinstance(stored, dict) and isinstance(stored.get("nodes"), list):
        raise ValueError(f"{path} is in the format of ComfyUI's editor; export it with File, Export (API).")
    nodes = stored.values() if isinstance(stored, dict) else [None]
    if not stored or not all(
        isinstance(n, dict) and isinstance(n.get("class_type"), str) and isinstance(n.get("inputs"), dict)
        for n in nodes
    ):
        raise ValueError(f"{path} is not a workflow in API format: nodes by id, each with class_type and inputs.")
    return stored


def with_cell(workflow: Workflow, prompt: str, seed: int) -> Workflow:
    """The workflow with a prompt in its one prompt node, and a seed in every seed that a widget holds.

    Raises:
        ValueError: there is no such node, or several for the prompt.
    """
    found = [i for i, node in workflow.items() if node["class_type"] == PROMPT_NODE]
    if len(found) != 1:
        raise ValueError(f"The workflow needs exactly one node {PROMPT_NODE} for the prompt, got {len(found)}.")
    changed = copy.deepcopy(workflow)
    changed[found[0]]["inputs"][PROMPT_INPUT] = prompt
    seeds = 0
    for node in changed.values():
        for name in SEED_INPUTS:
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = seed
                seeds += 1
    if not seeds:
        raise ValueError(f"The workflow has no node with a widget {' or '.join(SEED_INPUTS)} for the seed.")
    return changed


def with_method(workflow: Workflow, method: str, describe: Callable[[str], NodeInfo]) -> Workflow:
    """The workflow with its one guidance node changed to a method's node: links stay, other widgets take their
    defaults, and Recommended Settings change to the method.

    Args:
        describe: /object_info of a node class, from a server.

    Raises:
        ValueError: there is no guidance node, or several, or the method needs an input that the workflow lacks.
    """
    if method not in METHOD_NODES:
        raise ValueError(f"Unknown method {method!r}; choose one of {', '.join(METHOD_NODES)}.")
    found = [i for i, node in workflow.items() if node["class_type"] in METHOD_NODES.values()]
    if len(found) != 1:
        raise ValueError(f"The workflow needs exactly one guidance node for the method, got {len(found)}.")
    changed = copy.deepcopy(workflow)
    for other in changed.values():
        if other["class_type"] == SETTINGS_NODE and isinstance(other["inputs"].get("method"), str):
            other["inputs"]["method"] = method
    node, wanted = changed[found[0]], METHOD_NODES[method]
    if node["class_type"] == wanted:
        return changed
    inputs: dict[str, Any] = {}
    known = describe(wanted).get("input", {})
    for name, spec in {**known.get("required", {}), **known.get("optional", {})}.items():
        given, options = node["inputs"].get(name), spec[1] if len(spec) > 1 else {}
        choices = spec[0] if isinstance(spec[0], list) else options.get("options", [])
        if isinstance(given, list):
            inputs[name] = given
        elif "default" in options or choices:
            inputs[name] = options["default"] if "default" in options else choices[0]
        elif name in known.get("required", {}):
            raise ValueError(f"{wanted} needs the input {name!r}, which the workflow's {node['class_type']} lacks.")
    changed[found[0]] = {**node, "class_type": wanted, "inputs": inputs}
    return changed


def with_widget(workflow: Workflow, dotted: str, text: str) -> Workflow:
    """The workflow with the widget NODE.INPUT set.

    Raises:
        ValueError: there is no such node or widget, or the value is of another kind than the one that it has.
    """
    node, _, name = dotted.partition(".")
    if node not in workflow:
        raise ValueError(f"There is no node {node!r} in the workflow; it has {', '.join(workflow)}.")
    inputs = workflow[node]["inputs"]
    if name not in inputs or isinstance(inputs[name], list):
        widgets = ", ".join(f"{node}.{k}" for k, v in inputs.items() if not isinstance(v, list)) or "none"
        raise ValueError(f"There is no widget {dotted!r} in the workflow; this node has {widgets}.")
    value: Any = text
    if not isinstance(inputs[name], str):
        try:
            value = json.loads(text)
        except ValueError:
            pass
        numbers = (int, float)
        fits = isinstance(value, bool) == isinstance(inputs[name], bool) and isinstance(value, numbers)
        if not fits:
            raise ValueError(f"{dotted} must be of type {type(inputs[name]).__name__}, got {text!r}.")
    changed = copy.deepcopy(workflow)
    changed[node]["inputs"][name] = value
    return changed
