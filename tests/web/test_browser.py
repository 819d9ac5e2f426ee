"""The pack as a user meets it: real Chromium, real server, shipped workflows with few steps."""

from __future__ import annotations

import pytest

IMAGE = "Text to image"
LONG = 20_000  # steps; each test has a seed of its own, or ComfyUI would answer from its cache


def test_text_to_image_runs_and_shows_what_happens(open_tab):
    tab = open_tab()
    nodes = tab.load(IMAGE, steps=60)
    assert tab.missing_nodes() == []
    tab.look_at(nodes["TBSD_OptimizeImage"])
    tab.shoot("image_before")
    tab.queue()
    tab.wait("running")
    tab.shoot("image_running")
    tab.wait("done")
    assert tab.panel().locator(".tbsd-headline").inner_text() == "Done, step 60 / 60"
    tab.wait_for("() => document.querySelector('.tbsd-stage img').naturalWidth > 100")
    assert tab.draws_curves(300)
    titles = tab.panel().locator(".tbsd-tabs button").all_inner_texts()
    assert titles[:4] == ["Balance", "Directions", "Cosine", "t and lr"]
    assert "\u03bb shape" in tab.panel().locator(".tbsd-legend").inner_text()
    tab.shoot("image_done")
    seen = set()
    for title in titles:
        tab.panel().get_by_role("button", name=title, exact=True).click()
        seen.add(tab.panel().locator(".tbsd-legend").inner_text())
    assert len(seen) == len(titles)
    tab.look_at(nodes["SaveImage"])
    tab.wait_for(f"() => app.nodeOutputs[{nodes['SaveImage']}]?.images?.length > 0")
    tab.shoot("image_result")
    tab.set("Comfy.ColorPalette", "light")
    tab.look_at(nodes["TBSD_OptimizeImage"])
    assert tab.draws_curves(300)
    tab.shoot("light")


@pytest.mark.once
def test_text_to_3d_runs_and_the_object_turns(open_tab):
    tab = open_tab()
    nodes = tab.load("Text to 3D", **tab.FAST)
    assert tab.missing_nodes() == []
    tab.queue()
    tab.wait("done", seconds=120)
    tab.look_at(nodes["TBSD_Optimizer3D"])
    assert tab.draws_curves(100) and tab.picture()["width"] > 100
    tab.shoot("3d_done")
    tab.wait_for("() => document.querySelector('.tbsd-orbit .tbsd-caption').textContent === '0°'", seconds=120)
    tab.look_at(nodes["TBSD_RenderViews"])
    tab.shoot("3d_orbit")
    place = "() => document.querySelector('.tbsd-orbit > div').style.backgroundPosition"
    before = tab.page.evaluate(place)
    box = tab.page.locator(".tbsd-orbit").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 100, y, steps=10)
    tab.page.mouse.up()
    assert tab.page.evaluate(place) != before
    assert tab.page.locator(".tbsd-orbit .tbsd-caption").inner_text() == "240°"
    tab.shoot("3d_turned")
    tab.wait_for("() => Object.values(app.nodeOutputs).some((output) => output?.result)", seconds=120)
    tab.page.wait_for_timeout(1500)
    tab.show_all()
    tab.shoot("3d_all")


@pytest.mark.once
def test_a_reload_in_the_middle_restores_the_panel(open_tab):
    tab = open_tab()
    tab.load(IMAGE, steps=LONG, seed=11)
    tab.queue()
    tab.wait("running")
    tab.wait_for("() => document.querySelector('.tbsd-scrubber').max > 3")
    tab.page.wait_for_timeout(1500)  # in which the page stores its graph
    tab.reload()
    tab.wait("running")
    tab.wait_for("() => document.querySelector('.tbsd-stage img').naturalWidth > 100")
    assert int(tab.panel().locator(".tbsd-scrubber").get_attribute("max")) > 3
    assert tab.draws_curves(300)
    first = tab.panel().locator(".tbsd-headline").inner_text()
    tab.wait_for(f"() => document.querySelector('.tbsd-headline').textContent !== {first!r}")
    tab.shoot("reloaded")
    other = open_tab(tab.page.context)  # a second tab of the same browser, on the same graph: a template gets a new id
    graph = tab.page.evaluate("() => JSON.stringify((app.rootGraph ?? app.graph).serialize())")
    other.page.evaluate("async (graph) => { await app.loadGraphData(JSON.parse(graph)); }", graph)
    other.wait("running")
    tab.button("Stop and keep").click()
    tab.wait("stopped")
    other.wait("stopped")  # it has queued nothing itself


@pytest.mark.once
def test_stop_keeps_a_checkpoint_is_saved_and_the_scrubber_looks_back(open_tab, server):
    tab = open_tab()
    nodes = tab.load(IMAGE, steps=LONG, seed=12)
    tab.look_at(nodes["TBSD_OptimizeImage"])
    tab.queue()
    tab.wait("running")
    tab.wait_for("() => document.querySelector('.tbsd-scrubber').max > 9")
    tab.panel().get_by_role("button", name="Save checkpoint").click()
    tab.wait_for("() => document.querySelector('.tbsd-note').textContent.startsWith('Saved tbsd/')")
    name = tab.panel().locator(".tbsd-note").inner_text().removeprefix("Saved ")
    assert (server.base / "output" / name).stat().st_size > 1000
    assert tab.panel("running").count() == 1
    scrubber = tab.panel().locator(".tbsd-scrubber")
    box = scrubber.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    tab.wait_for("() => /^step \\d+$/.test(document.querySelector('.tbsd-stage .tbsd-caption').textContent)")
    past = tab.panel().locator(".tbsd-stage .tbsd-caption").inner_text()
    assert past != "step 1", "the handle stands in the middle"
    tab.wait_for(f"() => document.querySelector('.tbsd-stage img').alt === 'preview of {past}'")
    tab.shoot("scrubbing")
    tab.page.wait_for_timeout(600)
    assert int(past.removeprefix("step ")) < int(tab.panel().locator(".tbsd-headline").inner_text().split()[1])
    tab.panel().get_by_role("button", name="Stop and keep").click()
    tab.wait("stopped")
    tab.wait_for(f"() => app.nodeOutputs[{nodes['SaveImage']}]?.images?.length > 0")
    box = scrubber.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert tab.panel().locator(".tbsd-stage .tbsd-caption").inner_text() == ""
    tab.shoot("stopped")


@pytest.mark.slow  # test_templates.py opens all templates in it, and runs one
def test_nodes_2(open_tab, server):
    """Frontend 1.27 leaves DOM widgets out in this mode: there the host's own picture must appear."""
    tab = open_tab()
    tab.set("Comfy.VueNodes.Enabled", True)
    tab.reload()
    nodes = tab.load(IMAGE, steps=40, seed=15)
    tab.look_at(nodes["TBSD_OptimizeImage"], scale=0.8)
    tab.queue()
    tab.wait_for(f"() => app.nodeOutputs[{nodes['SaveImage']}]?.images?.length > 0")
    tab.page.wait_for_timeout(500)
    tab.shoot("nodes_2")
    if tab.panel().count():
        assert tab.panel("done").count() == 1 and tab.draws_curves(300)
    else:
        assert tab.page.locator("[data-node-id] img").count() > 0
