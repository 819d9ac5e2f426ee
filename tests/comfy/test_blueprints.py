"""Subgraph blueprints: whole graphs in one node, which newer hosts list among the nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
INPUT, OUTPUT = -10, -20  # ids of a subgraph's own ends
WORK = ("TBSD_Optimizer3D", "TBSD_OptimizeImage", "TBSD_Compare")


@pytest.fixture(params=BLUEPRINTS, ids=lambda path: path.stem)
def blueprint(request) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8"))


def inner_of(blueprint: dict) -> dict:
    (inner,) = blueprint["definitions"]["subgraphs"]
    return inner


def test_they_are_there():
    names = ["Compare methods", "Edit a picture", "Repaint here", "Repair the unseen side", "Sharpen a blurry texture"]
    names[4:4] = ["Restyle my mesh"]
    names += ["Text to 3D", "Texture my mesh"]
    assert [path.stem for path in BLUEPRINTS] == [f"{name} (TBSD)" for name in names]


def test_it_is_one_node_with_the_subgraphs_sockets(blueprint):
    inner = inner_of(blueprint)
    (node,) = blueprint["nodes"]
    assert node["type"] == inner["id"] and not blueprint["links"]
    for side in ("inputs", "outputs"):
        assert [(s["name"], s["type"]) for s in node[side]] == [(s["name"], s["type"]) for s in inner[side]]
    widgets = [s for s in node["inputs"] if "widget" in s]
    assert len(widgets) == len(node["widgets_values"]) and widgets


def test_its_links_agree_on_both_ends(blueprint):
    inner = inner_of(blueprint)
    nodes = {node["id"]: node for node in inner["nodes"]}
    links = {link["id"]: link for link in inner["links"]}
    for link in links.values():
        start = inner["inputs"] if link["origin_id"] == INPUT else nodes[link["origin_id"]]["outputs"]
        end = inner["outputs"] if link["target_id"] == OUTPUT else nodes[link["target_id"]]["inputs"]
        start, end = start[link["origin_slot"]], end[link["target_slot"]]
        assert link["id"] in (start["linkIds"] if link["origin_id"] == INPUT else start["links"])
        assert end["linkIds"] == [link["id"]] if link["target_id"] == OUTPUT else end["link"] == link["id"]
        assert start["type"] == end["type"] == link["type"]
    ends = [x for side in ("inputs", "outputs") for s in inner[side] for x in s["linkIds"]]
    ends += [s["link"] for node in nodes.values() for s in node["inputs"] if s["link"] is not None]
    ends += [x for node in nodes.values() for s in node["outputs"] for x in s["links"] or []]
    assert set(ends) == links.keys()


def test_its_nodes_and_values_are_those_of_the_template(blueprint):
    """The inner nodes are the template's, so that both give the same object; widgets outside show the same values."""
    name = blueprint["nodes"][0]["title"].removesuffix(" (TBSD)")
    template = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    theirs = {node["id"]: node for node in template["nodes"]}
    inner = inner_of(blueprint)
    for node in inner["nodes"]:
        values = theirs[node["id"]]["widgets_values"]
        assert node["type"] == theirs[node["id"]]["type"] and node["widgets_values"][: len(values)] == values
    (outside,) = blueprint["nodes"]
    shown = dict(zip([s["name"] for s in outside["inputs"] if "widget" in s], outside["widgets_values"], strict=True))
    (work,) = (n for n in theirs.values() if n["type"] in WORK)
    steps = work["widgets_values"][1 if work["type"] == "TBSD_Compare" else 0]
    assert shown["prompt"] == theirs[2]["widgets_values"][0] and shown["steps"] == steps


def test_the_host_knows_every_node_and_input(blueprint, server):
    info = server.request("/object_info")
    for node in inner_of(blueprint)["nodes"]:
        known = info[node["type"]]["input"]
        names = [*known.get("required", {}), *known.get("optional", {})]
        assert {s["name"] for s in node["inputs"]} <= set(names), node["type"]
        linked = {s["name"] for s in node["inputs"] if s["link"] is not None}
        sockets = {name for name, spec in known.get("required", {}).items() if str(spec[0]).startswith("TBSD_")}
        assert sockets <= linked, node["type"]
