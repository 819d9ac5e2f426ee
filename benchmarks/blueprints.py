"""The blueprints in subgraphs/, made of templates: `python -m benchmarks.blueprints` writes them all.

A blueprint is a template without its models and without the nodes that show the result. It is one node with the widgets
that people change most. Inputs of the nodes inside stand in the order of ComfyUI's canvas, sockets before widgets, or
older hosts connect the wrong ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from tests.hosts import HOSTS, ROOT
from tests.servers import started

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
INPUT, OUTPUT = -10, -20  # ids of a subgraph's own ends
PREVIEW = "$$canvas-image-preview"  # the host's name of the pictures that it draws on a node
Place = tuple[int, str]  # a node of the template and the name of its input or output


@dataclass(frozen=True)
class Blueprint:
    """Args:
    template: the name of the workflow that it is made of.
    id: of the subgraph; never changes.
    inside: ids of the nodes that it holds.
    sockets: inputs that nothing need be connected to, by their names outside.
    widgets: the widgets shown outside, by their names there. outputs: by their names outside. previews: ids of nodes
    whose pictures are shown outside; Optimize nodes bring their panels.
    """

    template: str
    id: str
    description: str
    aliases: tuple[str, ...]
    inside: tuple[int, ...]
    widgets: Mapping[str, Place]
    outputs: Mapping[str, Place]
    sockets: Mapping[str, Place]
    previews: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.template} (TBSD)"


PROMPTS = {"prompt": (2, "prompt"), "faults": (3, "descriptors"), "praise": (3, "target_modifier")}
# of the templates that change a mesh: the view whose region they change, and the run
REGION = {name: (14, name) for name in ("azimuth", "elevation", "border")}
RUN = {"steps": (8, "steps"), "size": (8, "size"), "detail": (7, "detail"), "seed": (8, "seed")}
CHANGED = {"mesh": (11, "mesh"), "scene": (8, "scene"), "views": (8, "views")}
BLUEPRINTS = (
    Blueprint(
        "Text to 3D",
        "9d4f3d4b-e97e-4f64-b611-578059f852fa",
        "Makes a NeRF of a prompt by Target-Balanced Score Distillation with any image model.",
        ("text to 3d", "dreamfusion", "score distillation", "nerf"),
        inside=(2, 3, 4, 5, 6, 7),
        widgets=PROMPTS
        | {"guidance_scale": (4, "guidance_scale"), "steps": (7, "steps"), "size": (7, "size")}
        | {"detail": (5, "detail"), "seed": (7, "seed")},
        outputs={"scene": (7, "scene"), "views": (7, "views")},
        sockets={},
    ),
    Blueprint(
        "Texture my mesh",
        "0c5b7f0e-6a55-4b0e-9a38-5c1f6c8e2d71",
        "Paints a mesh after a prompt by Target-Balanced Score Distillation with any image model.",
        ("retexture", "texture mesh", "paint mesh", "score distillation"),
        inside=(2, 3, 4, 6, 9, 12, 16),
        widgets=PROMPTS
        | {"guidance_scale": (4, "guidance_scale"), "steps": (9, "steps"), "size": (9, "size")}
        | {"detail": (6, "detail"), "keep_colors": (6, "keep_colors"), "texture_size": (12, "texture_size")}
        | {"seed": (9, "seed")},
        outputs={"mesh": (12, "mesh"), "scene": (9, "scene"), "views": (9, "views")},
        sockets={"file_3d": (6, "file_3d")},
    ),
    Blueprint(
        "Compare methods",
        "5f0d9c52-1d0b-4a6c-8a0e-3b9c7a64e8f3",
        "Runs SDS, CSD, Bridge and TBSD from the same start and shows the pictures side by side.",
        ("compare", "score distillation", "sds", "csd", "benchmark"),
        inside=(2, 3, 4, 5, 6, 7, 8, 9),
        widgets=PROMPTS
        | {"size": (4, "size"), "steps": (9, "steps"), "lr": (9, "lr"), "n_seeds": (9, "n_seeds"), "seed": (9, "seed")},
        outputs={"grid": (9, "grid"), "images": (9, "images"), "table": (9, "table")},
        sockets={},
        previews=(9,),
    ),
    Blueprint(
        "Repaint here",
        "b3f4a0a6-0d4b-4c52-8f0e-6f6a0a4c9e15",
        "Repaints what one view of a textured mesh shows, after a prompt; the rest stays to the bit.",
        ("inpaint mesh", "repaint", "retexture", "score distillation"),
        inside=(2, 3, 4, 5, 7, 8, 11, 14),
        widgets=PROMPTS | REGION | {"invert": (14, "invert")} | RUN,
        outputs=CHANGED | {"where": (14, "preview")},
        sockets={"file_3d": (7, "file_3d"), "mask": (14, "mask")},
    ),
    Blueprint(
        "Repair the unseen side",
        "2f8c1d73-95b6-4e0a-b1cd-7d3e5a9f4b20",
        "Paints what one view of a textured mesh does not show, continued from what it shows.",
        ("inpaint mesh", "repair", "back of a mesh", "score distillation"),
        inside=(2, 3, 4, 5, 7, 8, 11, 14),
        widgets=PROMPTS | REGION | RUN,
        outputs=CHANGED | {"where": (14, "preview")},
        sockets={"file_3d": (7, "file_3d")},
    ),
    Blueprint(
        "Sharpen a blurry texture",
        "7a1e5b9c-4c3d-4f86-9e27-0c5d8b6a1f34",
        "Adds fine detail to the texture of a mesh and keeps its colours.",
        ("sharpen", "upscale texture", "blurry texture", "score distillation"),
        inside=(2, 3, 4, 5, 7, 8, 11),
        widgets=PROMPTS | RUN,
        outputs=CHANGED,
        sockets={"file_3d": (7, "file_3d"), "region": (8, "region")},
    ),
    Blueprint(
        "Restyle my mesh",
        "e84b5a27-6c1f-4e93-8d72-0a9b3f5c1e46",
        "Gives a textured mesh another material or style; shape, texture coordinates and PBR stay.",
        ("restyle", "retexture", "change material", "score distillation"),
        inside=(2, 3, 4, 5, 7, 8, 11),
        widgets=PROMPTS | RUN | {"texture_size": (11, "texture_size")},
        outputs=CHANGED,
        sockets={"file_3d": (7, "file_3d"), "region": (8, "region")},
    ),
    Blueprint(
        "Edit a picture",
        "c6d2e8f1-3b7a-4d19-8a54-1e9f0b2c7d63",
        "Changes a picture by two prompts, of what is there and of what it shall become.",
        ("edit image", "image to image", "dds", "score distillation"),
        inside=(2, 3, 7, 8),
        widgets={"prompt": (2, "prompt"), "source_prompt": (3, "source_prompt"), "hold": (3, "hold")}
        | {"size": (7, "size"), "steps": (8, "steps"), "seed": (8, "seed")},
        outputs={"images": (8, "images"), "scene": (8, "scene")},
        sockets={},
    ),
)


def slots(schema: dict, saved: dict) -> list[dict]:
    """The inputs of a node as the canvas has them, not connected."""
    sockets, widgets = [], []
    for group in ("required", "optional"):
        for name, (kind, *options) in schema["input"].get(group, {}).items():
            kind = "COMBO" if isinstance(kind, list) else kind
            is_socket = any(option.get("forceInput") for option in options)
            slot: dict[str, Any] = {"localized_name": name, "name": name, "type": kind, "link": None}
            if group == "optional":
                slot["shape"] = 7
            if kind in WIDGETS and not is_socket:
                widgets.append(slot | {"widget": {"name": name}})
            else:
                sockets.append(slot)
    if not {slot["name"] for slot in saved["inputs"]} <= {slot["name"] for slot in sockets + widgets}:
        raise ValueError(f"The node {saved['type']} of the template has inputs that the host does not know.")
    return sockets + widgets


def values_of(node: dict) -> dict[str, Any]:
    """The values of a node's widgets by name. A seed is followed by what happens to it after a run."""
    values = list(node["widgets_values"])
    named = {}
    for slot in (slot for slot in node["inputs"] if "widget" in slot):
        if values:
            named[slot["name"]] = values.pop(0)
        if slot["name"] == "seed" and values and values[0] in ("fixed", "randomize", "increment", "decrement"):
            values.pop(0)
    return named


def made(blueprint: Blueprint, template: dict, schemas: Mapping[str, dict]) -> dict:
    """The file of a blueprint."""
    theirs = {node["id"]: node for node in template["nodes"]}
    nodes = {}
    for number in blueprint.inside:
        node = json.loads(json.dumps(theirs[number]))
        node["inputs"] = slots(schemas[node["type"]], node)
        for output in node["outputs"]:
            output["links"] = []
        nodes[number] = node
    links: list[dict] = []
    inputs: dict[str, dict] = {}
    outputs: dict[str, dict] = {}

    def identity(kind: str, name: str) -> str:
        return str(uuid5(UUID(blueprint.id), f"{kind} {name}"))

    def slot_of(place: Place, side: str) -> int:
        return next(i for i, slot in enumerate(nodes[place[0]][side]) if slot["name"] == place[1])

    def join(origin: tuple[int, int], target: tuple[int, int], kind: str) -> int:
        ends = dict(origin_id=origin[0], origin_slot=origin[1], target_id=target[0], target_slot=target[1])
        links.append({"id": len(links) + 1, **ends, "type": kind})
        return len(links)

    def lead_in(name: str, place: Place) -> None:
        slot = nodes[place[0]]["inputs"][slot_of(place, "inputs")]
        if name not in inputs:
            inputs[name] = {"id": identity("input", name), "name": name, "type": slot["type"], "linkIds": []}
        number = join((INPUT, list(inputs).index(name)), (place[0], slot_of(place, "inputs")), slot["type"])
        slot["link"] = number
        inputs[name]["linkIds"].append(number)

    crossing, inner = [], []
    for _, start, start_slot, end, end_slot, kind in template["links"]:
        if end in nodes:
            name = theirs[end]["inputs"][end_slot]["name"]
            (inner if start in nodes else crossing).append((start, start_slot, (end, name), kind))
    for _, _, place, _ in crossing:
        lead_in(place[1], place)
    for name, place in blueprint.sockets.items():
        lead_in(name, place)
    for name, place in blueprint.widgets.items():
        lead_in(name, place)
    for start, start_slot, place, kind in inner:
        number = join((start, start_slot), (place[0], slot_of(place, "inputs")), kind)
        nodes[place[0]]["inputs"][slot_of(place, "inputs")]["link"] = number
        nodes[start]["outputs"][start_slot]["links"].append(number)
    for name, place in blueprint.outputs.items():
        slot = nodes[place[0]]["outputs"][slot_of(place, "outputs")]
        number = join((place[0], slot_of(place, "outputs")), (OUTPUT, len(outputs)), slot["type"])
        slot["links"].append(number)
        outputs[name] = {"id": identity("output", name), "name": name, "type": slot["type"], "linkIds": [number]}
    values = {name: values_of(theirs[number])[widget] for name, (number, widget) in blueprint.widgets.items()}
    return packed(blueprint, nodes, links, inputs, outputs, values)


def packed(
    blueprint: Blueprint, nodes: dict[int, dict], links: list[dict], inputs: dict, outputs: dict, values: dict[str, Any]
) -> dict:
    left, top = min(node["pos"][0] for node in nodes.values()), min(node["pos"][1] for node in nodes.values())
    right = max(node["pos"][0] + node["size"][0] for node in nodes.values())
    for order, node in enumerate(nodes.values()):
        node["order"] = order
    subgraph = {
        "id": blueprint.id,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": max(nodes), "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": blueprint.name,
        "description": blueprint.description,
        "category": "TBSD",
        "inputNode": {"id": INPUT, "bounding": [left - 200, top, 120, 40 + 20 * len(inputs)]},
        "outputNode": {"id": OUTPUT, "bounding": [right + 80, top, 120, 40 + 20 * len(outputs)]},
        "inputs": [slot | {"pos": [left - 100, top + 20 + 20 * i]} for i, slot in enumerate(inputs.values())],
        "outputs": [slot | {"pos": [right + 100, top + 20 + 20 * i]} for i, slot in enumerate(outputs.values())],
        "widgets": [],
        "nodes": list(nodes.values()),
        "groups": [],
        "links": links,
        "extra": {},
    }
    sides = {
        "inputs": [
            {"name": name, "type": slot["type"], "link": None} | ({"widget": {"name": name}} if name in values else {})
            for name, slot in inputs.items()
        ],
        "outputs": [{"name": name, "type": slot["type"], "links": None} for name, slot in outputs.items()],
    }
    previews = [
        {"name": PREVIEW, "sourceNodeId": str(number), "sourcePreviewName": PREVIEW} for number in blueprint.previews
    ]
    outside = {
        "id": 1,
        "type": blueprint.id,
        "pos": [0, 0],
        "size": [400, 480],
        "flags": {},
        "order": 0,
        "mode": 0,
        **sides,
        "title": blueprint.name,
        "properties": {"previewExposures": previews} if previews else {},
        "widgets_values": list(values.values()),
    }
    return {
        "id": "00000000-0000-0000-0000-000000000000",
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [outside],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {"BlueprintDescription": blueprint.description, "BlueprintSearchAliases": list(blueprint.aliases)},
        "version": 0.4,
    }


def main() -> None:
    host = max(HOSTS, key=lambda host: host.version)
    with tempfile.TemporaryDirectory() as base, started(host, Path(base)) as server:
        schemas = server.request("/object_info")
    for blueprint in BLUEPRINTS:
        template = json.loads((ROOT / "workflows" / f"{blueprint.template}.json").read_text(encoding="utf-8"))
        text = json.dumps(made(blueprint, template, schemas), indent=1, ensure_ascii=False) + "\n"
        (ROOT / "subgraphs" / f"{blueprint.name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
