"""ComfyUI in Chinese as a user sees it: names, tooltips and the panel, from locales/zh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # test_locales.py looks at the texts on all hosts

ROOT = Path(__file__).resolve().parents[2]


def chinese(name: str) -> dict:
    return json.loads((ROOT / "locales" / "zh" / name).read_text(encoding="utf-8"))


def shown(tab, node_id: str) -> dict:
    """The texts that the canvas writes on a node."""
    script = """(id) => {
        const node = app.graph.getNodeById(id), label = (slot) => slot.label ?? slot.localized_name ?? slot.name;
        return {
            title: node.title,
            inputs: Object.fromEntries(node.inputs.map((slot) => [slot.name, label(slot)])),
            widgets: Object.fromEntries(node.widgets.map((widget) => [widget.name, widget.label ?? widget.name])),
            outputs: node.outputs.map(label),
        };
    }"""
    return tab.page.evaluate(script, node_id)


def tooltip_of_input(tab, node_id: str, name: str) -> str:
    """The tooltip that appears when the pointer rests on an input."""
    script = """([id, name]) => {
        const node = app.graph.getNodeById(id);
        const [x, y] = node.getConnectionPos(true, node.findInputSlot(name));
        const box = app.canvas.canvas.getBoundingClientRect(), { scale, offset } = app.canvas.ds;
        return [box.left + (x + offset[0]) * scale, box.top + (y + offset[1]) * scale];
    }"""
    x, y = tab.page.evaluate(script, [node_id, name])
    tab.page.mouse.move(x + 40, y + 40)
    tab.page.mouse.move(x, y)
    tip = tab.page.locator(".node-tooltip")
    tip.wait_for(state="visible")
    return tip.inner_text().strip()


def test_a_chinese_user_reads_chinese(open_tab):
    tab = open_tab()
    tab.set("Comfy.Locale", "zh")
    tab.reload()
    ids = tab.load("Text to image", steps=40)
    node = ids["TBSD_OptimizeImage"]
    texts = chinese("nodeDefs.json")["TBSD_OptimizeImage"]
    inputs = {name: text["name"] for name, text in texts["inputs"].items()}
    seen = shown(tab, node)
    assert {name: seen["inputs"][name] for name in inputs} == inputs
    assert {name: label for name, label in seen["widgets"].items() if name in inputs}.items() <= inputs.items()
    assert seen["outputs"] == [text["name"] for text in texts["outputs"].values()]
    script = """() => {
        const found = LiteGraph.registered_node_types['TBSD_OptimizeImage'];
        return [found.title, found.nodeData.description, found.category];
    }"""
    assert tab.page.evaluate(script) == [texts["display_name"], texts["description"], "TBSD/\u4f18\u5316"]
    assert seen["title"] == texts["display_name"]
    panel = chinese("main.json")["tbsd"]
    assert tab.panel().get_by_role("button", name=panel["Stop and keep"]).is_visible()
    tab.look_at(node)
    assert tooltip_of_input(tab, node, "guidance") == texts["inputs"]["guidance"]["tooltip"]
    tab.shoot("chinese_tooltip")
    tab.queue()
    tab.panel("done").get_by_text("\u5df2\u5b8c\u6210\uff0c\u7b2c 40 / 40 \u6b65").wait_for()
    assert panel["Balance"] in tab.panel().locator(".tbsd-tabs").inner_text()
    tab.shoot("chinese_run")
