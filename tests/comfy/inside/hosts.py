"""The pack's nodes on this host, and its table of versions against the features that the host has."""

from __future__ import annotations

import functools
import json
from types import SimpleNamespace

from pack import load_pack

load = load_pack()

import comfy.model_base  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy_api.latest  # noqa: E402
from comfy.cli_args import args  # noqa: E402

compat = load("nodes.bridge.compat")
PLACES = {
    "Types": comfy_api.latest.Types,
    "ModelPatcher": comfy.model_patcher.ModelPatcher,
    "model_base": comfy.model_base,
    "model_management": comfy.model_management,
}


def is_there(feature: str) -> bool:
    place, *names = feature.split(".")
    return functools.reduce(lambda found, name: getattr(found, name, None), names, PLACES[place]) is not None


def refusal(version: tuple[int, ...]) -> str:
    try:
        compat.require_host(version)
    except RuntimeError as error:
        return str(error)
    return ""


def graph_of(without: bool) -> list[dict[str, str]]:
    """The pack's texts in files, of the graph that runs, and for a prompt that the page did not queue."""
    args.disable_metadata = without
    hidden = comfy_api.latest.io.Hidden
    about = {hidden.prompt: {"1": {}}, hidden.extra_pnginfo: {"workflow": {"id": "ä"}, "notes": 1}}
    alone = {hidden.prompt: {}, hidden.extra_pnginfo: None}
    queued_by, holder = load("nodes.bridge.queued").queued_by, comfy_api.latest._io.HiddenHolder
    return [queued_by(SimpleNamespace(hidden=holder.from_dict(each))).texts() for each in (about, alone)]


nodes = load("nodes").NODES
print(
    json.dumps(
        {
            "version": compat.HOST,
            "tested": compat.TESTED,
            "read": {text: compat.read_version(text) for text in ("0.3.64", "v0.34.0rc1", "1.0", "nightly")},
            "refusals": {compat.dots(v): refusal(v) for v in ((0, 3, 63), (0, 3, 64), (0, 33, 0), (1, 0))},
            "table": {feature: compat.has(feature) for feature in compat.SINCE},
            "there": {feature: is_there(feature) for feature in compat.SINCE},
            "graph": [graph_of(without) for without in (False, True)],
            "nodes": {node.define_schema().node_id: node.GET_NODE_INFO_V1() for node in nodes},
        }
    )
)
