"""Pictures of nodes for the help pages: `python -m benchmarks.help_screenshots [NAME ...]`.

Taken in a real Chromium from the pages of a real ComfyUI server, while and after templates run.
Written to web/docs/images; needs the development requirements.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.help_pictures import FOLDER
from benchmarks.thumbnails import fitted, save_small
from tests.hosts import find_comfyui
from tests.servers import started
from tests.web.conftest import FLAGS, Tab, find_chromium

WIDTH, HEIGHT = 400, 480
MAX_BYTES = 11_900
LOOK_AT_STEP = 150  # of the run in 3D


def crop(tab: Tab, nodes: Sequence[str], margin: int = 24) -> Image.Image:
    """The part of the page that shows these nodes, which must fit the window."""
    script = """([ids, margin]) => {
        const {ds, canvas} = app.canvas, place = canvas.getBoundingClientRect();
        const boxes = ids.map((id) => {
            const [x, y] = app.graph.getNodeById(id).pos, [w, h] = app.graph.getNodeById(id).size;
            return [x, y - LiteGraph.NODE_TITLE_HEIGHT, x + w, y + h];
        });
        const at = (k, f) => f(...boxes.map((box) => box[k]));
        const left = (at(0, Math.min) + ds.offset[0]) * ds.scale + place.left - margin;
        const top = (at(1, Math.min) + ds.offset[1]) * ds.scale + place.top - margin;
        return {x: left, y: top, width: (at(2, Math.max) - at(0, Math.min)) * ds.scale + 2 * margin,
            height: (at(3, Math.max) - at(1, Math.min)) * ds.scale + 2 * margin};
    }"""
    box = tab.page.evaluate(script, [list(nodes), margin])
    return Image.open(io.BytesIO(tab.page.screenshot(clip=box))).convert("RGB")


def build(tab: Tab, nodes: dict[str, dict], links: Sequence[tuple[str, str, str, str]]) -> dict[str, str]:
    """A graph of a few nodes beside each other: widgets by name, links as class, output, class, input."""
    script = """([nodes, links]) => {
        app.graph.clear();
        let x = 0;
        const made = {};
        for (const [type, {size, ...widgets}] of Object.entries(nodes)) {
            const node = made[type] = LiteGraph.createNode(type);
            app.graph.add(node);
            for (const widget of node.widgets ?? []) if (widget.name in widgets) widget.value = widgets[widget.name];
            if (size) node.setSize(size);
            node.pos = [x, 0];
            x += node.size[0] + 40;
        }
        for (const [from, output, to, input] of links)
            made[from].connect(made[from].findOutputSlot(output), made[to], made[to].findInputSlot(input));
        app.canvas.setDirty(true, true);
        return Object.fromEntries(Object.entries(made).map(([type, node]) => [type, String(node.id)]));
    }"""
    return tab.page.evaluate(script, [nodes, [list(link) for link in links]])


def panel_image(tab: Tab) -> Image.Image:
    nodes = tab.load("Text to image")
    tab.look_at(nodes["TBSD_OptimizeImage"])
    tab.queue()
    tab.wait("done", seconds=300)
    tab.page.wait_for_timeout(1500)
    return crop(tab, [nodes["TBSD_OptimizeImage"]])


def panel_3d(tab: Tab) -> Image.Image:
    nodes = tab.load("Text to 3D", seed=1)
    tab.look_at(nodes["TBSD_Optimizer3D"])
    tab.queue()
    text = "document.querySelector('.tbsd-headline')?.textContent ?? ''"
    tab.wait_for(f"() => Number(/step (\\d+)/i.exec({text})?.[1] ?? 0) > {LOOK_AT_STEP}", seconds=600)
    picture = crop(tab, [nodes["TBSD_Optimizer3D"]])
    tab.page.evaluate("() => fetch('/interrupt', {method: 'POST'})")
    tab.wait("interrupted")
    return picture


def recommended_settings(tab: Tab) -> Image.Image:
    nodes = build(
        tab,
        {
            "TBSD_DemoModels": {},
            "TBSD_RecommendedSettings": {"method": "hifa", "scene": "nerf"},
            "PreviewAny": {"size": [420, 280]},
        },
        [
            ("TBSD_DemoModels", "MODEL", "TBSD_RecommendedSettings", "model"),
            ("TBSD_RecommendedSettings", "text", "PreviewAny", "source"),
        ],
    )
    tab.queue()
    tab.wait_for(f"() => app.nodeOutputs[{nodes['PreviewAny']}]?.text")
    tab.look_at(nodes["PreviewAny"])
    return crop(tab, [nodes["PreviewAny"]], margin=4)


def scene_file(tab: Tab) -> Image.Image:
    nodes = build(
        tab,
        {"TBSD_SaveScene": {}, "TBSD_LoadScene": {}},
        [("TBSD_SaveScene", "scene_file", "TBSD_LoadScene", "scene_file")],
    )
    tab.show_all()
    return crop(tab, list(nodes.values()))


PICTURES: dict[str, Callable[[Tab], Image.Image]] = {
    "panel_image": panel_image,
    "panel_3d": panel_3d,
    "recommended_settings": recommended_settings,
    "scene_file": scene_file,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is named: {', '.join(PICTURES)}")
    take(PICTURES, parser.parse_args().names, FOLDER)


def take(
    pictures: Mapping[str, Callable[[Tab], Image.Image]],
    names: Sequence[str],  # all if empty
    out: Path,
    nodes: Mapping[str, str] = {},  # texts of further custom nodes of the server, by file name
) -> None:
    """Take the pictures, each on a page of its own, and write them to a folder as small WebPs."""
    chosen = names or list(pictures)
    if unknown := sorted(set(chosen) - set(pictures)):
        raise SystemExit(f"No such picture: {', '.join(unknown)}. There are: {', '.join(pictures)}.")
    comfyui, chromium = find_comfyui(), find_chromium()
    if comfyui is None or chromium is None:
        raise SystemExit("This needs a ComfyUI (make comfyui) and a Chromium (CHROMIUM=path).")
    out.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(comfyui, Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        if nodes:
            server.stop()
            for name, text in nodes.items():
                (Path(folder) / "custom_nodes" / name).write_text(text, encoding="utf-8")
            server.start()
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in chosen:
            begin = time.monotonic()
            page = browser.new_page(viewport={"width": 1500, "height": 1300})
            tab = Tab(page, server.url, Path(folder)).open()
            picture = pictures[name](tab)
            size = save_small(fitted(picture, WIDTH, HEIGHT), out / f"{name}.webp", MAX_BYTES)
            if tab.errors or tab.alerts:
                raise SystemExit(f"{name}: the page had errors: {json.dumps(tab.errors + tab.alerts, indent=1)}")
            page.close()
            print(f"{name}: {time.monotonic() - begin:.0f} s, {size} bytes", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
