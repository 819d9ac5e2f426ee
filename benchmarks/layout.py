"""Room for every node of the templates: `python -m benchmarks.layout [NAME ...]` moves the nodes of each column so that
nothing overlaps before or after a run, with the classic canvas and with Nodes 2.0.

Heights are measured in a real Chromium on the newest ComfyUI that the tests find, in templates on the demo model that
run a few steps; a node of a template that needs a checkpoint gets the largest height of its class there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.hosts import HOSTS, ROOT
from tests.servers import started
from tests.web.conftest import FLAGS, Tab, find_chromium

TITLE, GAP, FIRST = 30, 40, 80  # pixels: the title bar; between nodes, where Nodes 2.0 puts a button; the first node
ACROSS = 36  # pixels between columns
SIZES = "() => app.graph.nodes.map((node) => [node.type, node.size[0], Math.ceil(node.size[1])])"
Rooms = dict[tuple[str, float], float]


def measure(tab: Tab, name: str, runs: bool, rooms: Rooms) -> None:
    """Note the tallest that each class of nodes gets at its width."""
    tab.load(name, **tab.FAST, seed=21)
    tab.page.wait_for_timeout(1000)
    sizes = tab.page.evaluate(SIZES)
    if runs:
        tab.queue()
        tab.outputs()
        tab.page.wait_for_timeout(1500)
        sizes += tab.page.evaluate(SIZES)
    for kind, width, height in sizes:
        rooms[kind, width] = max(rooms[kind, width], height)


def arranged(graph: dict, rooms: Rooms) -> dict:
    """The graph with its columns as they are, from left to right and from top to bottom, and room in them."""
    columns = defaultdict(list)
    for node in graph["nodes"]:
        columns[node["pos"][0]].append(node)
    x = min(columns)
    for left in sorted(columns):
        y = FIRST
        for node in sorted(columns[left], key=lambda node: node["pos"][1]):
            node["pos"] = [x, y]
            y += TITLE + GAP + max(node["size"][1], round(room_of(node, rooms)))
        x += ACROSS + max(node["size"][0] for node in columns[left])
    return graph


def room_of(node: dict, rooms: Rooms) -> float:
    kind, width = node["type"], node["size"][0]
    heights = [height for (other, w), height in rooms.items() if other == kind and w <= width]
    return rooms.get((kind, width)) or max(heights, default=0)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    parser.add_argument("names", nargs="*", default=names)
    chosen = parser.parse_args(arguments).names
    host = max(HOSTS, key=lambda host: host.version)
    rooms: Rooms = defaultdict(float)
    with tempfile.TemporaryDirectory() as base, started(host, Path(base)) as server, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS).new_page()
        tab = Tab(page, server.url, Path(base)).open()
        for nodes_2 in (False, True):
            tab.set("Comfy.VueNodes.Enabled", nodes_2)
            tab.reload()
            for name in names:
                measure(tab, name, runs=" with " not in name, rooms=rooms)
                print(f"measured {name}", flush=True)
    for name in chosen:
        path = ROOT / "workflows" / f"{name}.json"
        graph = arranged(json.loads(path.read_text(encoding="utf-8")), rooms)
        path.write_text(json.dumps(graph, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        bottom = max(node["pos"][1] + max(node["size"][1], room_of(node, rooms)) for node in graph["nodes"])
        right = max(node["pos"][0] + node["size"][0] for node in graph["nodes"])
        print(f"{name}: {right:.0f} x {bottom:.0f}")


if __name__ == "__main__":
    main()
