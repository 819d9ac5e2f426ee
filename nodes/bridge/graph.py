"""Facts about a run from its queued graph (an API prompt)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OWN = "TBSD_"  # begins the class names of this pack's nodes, whose settings the run's configuration holds
OPTIMIZERS = ("TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh")
# but for these inputs of theirs; None: all
WITHOUT_CONFIG = {"TBSD_MeshTextureScene": None, "TBSD_Zero123Prompt": ("model_type",)}
MODEL_FILES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
MAX_VALUE = 40  # characters of a value in a sentence


def ancestors(prompt: Any, node_id: str) -> dict[str, dict]:
    """A node and all that it depends on, by execution id; nothing if there is no prompt."""
    found: dict[str, dict] = {}
    waiting = [node_id]
    while waiting:
        name = waiting.pop()
        node = prompt.get(name) if isinstance(prompt, Mapping) else None
        if name in found or not isinstance(node, Mapping):
            continue
        found[name] = dict(node)
        waiting += [str(value[0]) for value in inputs_of(node).values() if is_link(value)]
    return found


def optimizers(prompt: Any) -> list[str]:
    """The ids of the nodes of a graph that run."""
    nodes = prompt.items() if isinstance(prompt, Mapping) else ()
    return [name for name, node in nodes if isinstance(node, Mapping) and node.get("class_type") in OPTIMIZERS]


def inputs_of(node: Mapping) -> Mapping[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def is_link(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def classes(nodes: Mapping[str, Mapping]) -> dict[str, str]:
    return {name: str(node.get("class_type", "")) for name, node in nodes.items()}


def model_files(nodes: Mapping[str, Mapping]) -> tuple[str, ...]:
    """Names of the files of models that the nodes load, each once."""
    values = [value for node in nodes.values() for value in inputs_of(node).values()]
    return tuple(dict.fromkeys(v for v in values if isinstance(v, str) and Path(v).suffix.lower() in MODEL_FILES))


def changes(was: Mapping[str, Mapping], now: Mapping[str, Mapping]) -> list[str]:
    """Differences between two graphs in the parts that no configuration holds: which models are loaded and patched,
    which texts are encoded, which mesh is painted. Nodes match by id and class; a node without a match is named by its
    class."""
    before, after = dict(_settings(was)), dict(_settings(now))
    told = [f"{n} was {_short(v)}, is {_short(after[n])}" for n, v in before.items() if n in after and after[n] != v]
    lost, new = (_classes_of(a, b) for a, b in ((was, now), (now, was)))
    return told + [f"{name} is gone" for name in lost] + [f"{name} is new" for name in new]


def _classes_of(nodes: Mapping[str, Mapping], others: Mapping[str, Mapping]) -> list[str]:
    """Classes of the nodes that have no counterpart in another graph."""
    mine, theirs = ([c for c in classes(n).values() if not c.startswith(OWN)] for n in (nodes, others))
    return [name for name in dict.fromkeys(mine) if mine.count(name) > theirs.count(name)]


def _counts(class_type: str, name: str) -> bool:
    if not class_type.startswith(OWN):
        return True
    names = WITHOUT_CONFIG.get(class_type, ())
    return names is None or name in names


def _settings(nodes: Mapping[str, Mapping]) -> Iterator[tuple[str, Any]]:
    """The widgets of the nodes that count, under the names that sentences give them."""
    for node_id, node in nodes.items():
        class_type = str(node.get("class_type", ""))
        for name, value in inputs_of(node).items():
            if _counts(class_type, name) and not is_link(value):
                yield f"{class_type.removeprefix(OWN)} {node_id} {name}", value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."
