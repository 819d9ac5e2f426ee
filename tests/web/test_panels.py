"""Whose run a panel shows, and how a run that was cut off is found again and continued."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # the older page has one run in test_browser.py

FAST = {"views_per_step": 4, "size": 48, "n_views": 6, "detail": 17, "n_samples": 12, "resolution": 32}
FAST |= {"n_gaussians": 100}
LONG = 20_000  # steps
SET_STEPS = "(steps) => app.graph.nodes.flatMap((n) => n.widgets ?? []).find((w) => w.name === 'steps').value = steps"
OFFER = ".tbsd-offer:not([hidden])"
# a module of the pack, as the page has it
MODULE = "(name) => import(new URL(`../js/${name}`, document.querySelector('link[href$=\"/css/panel.css\"]').href))"


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def about(folder: Path) -> dict:
    return json.loads((folder / "about.json").read_text(encoding="utf-8"))


def test_a_panel_shows_what_its_tab_queued_from_its_graph(open_tab, server):
    one = open_tab()
    nodes = one.load("Text to 3D", **FAST, steps=LONG, seed=101, prompt="a wooden torus")
    one.queue()
    one.wait("running")
    other = open_tab(one.page.context)
    other.load("Text to splats", **FAST, steps=LONG, seed=102, prompt="a striped cube")
    other.page.wait_for_timeout(1500)  # in which the first tab's run sends messages
    assert other.panel("idle").count() == 1, "another template with the same ids"
    other.queue()
    other.panel().get_by_text("Queued").wait_for()
    assert other.button("Stop and keep").is_disabled() and other.picture()["url"] == ""
    other.look_at(nodes["TBSD_Optimizer3D"])
    other.shoot("queued")
    server.request("/interrupt", {})
    one.wait("interrupted")
    other.wait("running")
    other.wait_for("() => document.querySelector('.tbsd-stage img').naturalWidth > 30")
    other.load("Text to splats", **FAST)  # a second graph in that tab, with the same ids
    other.page.wait_for_timeout(1500)
    assert other.panel("idle").count() == 1
    other.page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    other.wait("running")
    other.wait_for("() => document.querySelector('.tbsd-stage img').naturalWidth > 30")
    run = other.picture()["url"].split("/runs/")[1].split("/")[0]
    other.reload()
    other.wait("running")
    other.wait_for(f"() => document.querySelector('.tbsd-stage img').src.includes('{run}')")
    assert run not in one.picture()["url"] and one.panel("interrupted").count() == 1


@pytest.mark.slow  # a stopped run goes on below, and tests/comfy/test_kept.py offers the run of a dead process
def test_a_run_of_a_server_that_was_killed_goes_on_with_one_click(comfyui, start_server, tabs_on, tmp_path_factory):
    with start_server(comfyui, tmp_path_factory.mktemp("killed")) as server, tabs_on(server) as open_tab:
        runs = server.base / "output" / "tbsd" / "runs"
        tab = open_tab()
        nodes = tab.load("Text to image", steps=LONG, seed=103)
        tab.look_at(nodes["TBSD_OptimizeImage"])
        tab.queue()
        tab.wait("running")
        (folder,) = runs.iterdir()
        while not about(folder)["saved"]:
            tab.page.wait_for_timeout(100)
        server.kill()
        left = files_of(folder)
        server.start()
        tab.panel("lost").locator(OFFER).wait_for()  # the page connects again automatically
        tab.errors.clear()  # what the host says of the connection
        tab.page.wait_for_timeout(1500)  # in which the page stores its graph
        tab.reload()
        tab.panel("idle").locator(OFFER).wait_for()
        assert f"step {about(folder)['saved']} of {LONG}" in tab.panel().locator(OFFER).inner_text()
        tab.look_at(nodes["TBSD_OptimizeImage"])
        tab.shoot("offer")

        tab.queue()
        tab.wait("running")
        assert tab.panel().locator(OFFER).count() == 0
        tab.wait_for("() => document.querySelector('.tbsd-scrubber').max > 1")
        server.request("/interrupt", {})
        tab.wait("interrupted")
        assert files_of(folder) == left, "a new run leaves the old one alone"
        tab.panel("interrupted").locator(OFFER).wait_for()
        tab.shoot("cancelled")
        assert len(list(runs.iterdir())) == 2
        tab.button("Discard").click()
        tab.button("Remove for good?").click()
        tab.panel().locator(OFFER).get_by_text(f"step {about(folder)['saved']} of {LONG}").wait_for()
        assert [path.name for path in runs.iterdir()] == [folder.name]

        steps = about(folder)["saved"] + 20
        tab.page.evaluate(SET_STEPS, steps)
        tab.button("Continue").click()
        tab.wait("done")
        assert tab.headline == f"Done, step {steps} / {steps}"
        newer = max(runs.iterdir())
        assert about(newer)["continues"] == folder.name and about(newer)["saved"] == steps
        graph = tab.page.evaluate("() => JSON.stringify(app.graph.serialize())")
        assert folder.name not in graph, "nothing on the canvas changes"


def test_a_stopped_run_says_why_nothing_happens_and_goes_on(open_tab, server):
    tab = open_tab()
    nodes = tab.load("Text to image", steps=LONG, seed=104)
    tab.look_at(nodes["TBSD_OptimizeImage"])
    tab.queue()
    tab.wait("running")
    tab.wait_for("() => document.querySelector('.tbsd-scrubber').max > 3")
    tab.page.route("**/stop", lambda route: route.abort())  # the connection is lost for a moment
    tab.button("Stop and keep").click()
    tab.panel().locator(".tbsd-note:not(:empty)").wait_for()
    assert tab.button("Stop and keep").is_enabled()
    tab.page.unroute("**/stop")
    tab.errors.clear()  # of the connection
    tab.button("Stop and keep").click()
    tab.wait("stopped")
    tab.panel().locator(OFFER).get_by_text("Stopped at step").wait_for()
    first = int(tab.headline.split()[-3])
    server.wait_until_idle()  # the graph ends after the run
    tab.queue()
    tab.panel().locator(".tbsd-notice:not(:empty)").wait_for()
    assert "Nothing has changed since this run" in tab.panel().inner_text()  # the host kept the result in its cache
    tab.outputs()
    assert tab.panel("stopped").count() == 1
    tab.shoot("used_again")
    mode = "([id, mode]) => (app.graph.getNodeById(id).mode = mode)"
    tab.page.evaluate(mode, [nodes["TBSD_OptimizeImage"], 4])
    tab.button("Continue").click()
    tab.panel().locator(".tbsd-note").get_by_text("muted or bypassed").wait_for()
    tab.page.evaluate(mode, [nodes["TBSD_OptimizeImage"], 0])
    for _ in range(2):  # after the stop, and after a cancel
        tab.button("Continue").click()
        tab.wait("running")
        tab.wait_for(f"() => Number(document.querySelector('.tbsd-headline').textContent.split(' ')[1]) > {first}")
        server.request("/interrupt", {})
        tab.panel("interrupted").locator(OFFER).get_by_text("Unfinished run, step").wait_for()
        first = int(tab.headline.split()[-3])
    steps = first + 20
    tab.page.evaluate(SET_STEPS, steps)
    tab.button("Continue").click()
    tab.wait("done")
    assert tab.headline == f"Done, step {steps} / {steps}"
    server.wait_until_idle()
    known = len(server.request("/tbsd/runs")["runs"])
    tab.queue()
    tab.panel().locator(".tbsd-notice:not(:empty)").wait_for()
    assert tab.panel("done").count() == 1, "what went on to its end is not begun anew"
    assert len(server.request("/tbsd/runs")["runs"]) == known


def test_a_run_is_shown_to_its_graph_in_another_tab(open_tab, server):
    """Where the tab that queued it was closed, its graph is opened again in a new one."""
    other = open_tab()
    one = open_tab(other.page.context)
    one.load("Text to image", steps=LONG, seed=106)
    one.queue()
    one.wait("running")
    graph = one.page.evaluate("() => app.graph.serialize()")
    one.page.close()
    other.page.evaluate("(graph) => app.loadGraphData(graph)", graph)
    other.wait("running")
    other.wait_for("() => document.querySelector('.tbsd-stage img').naturalWidth > 30")
    server.request("/interrupt", {})
    other.panel("interrupted").locator(OFFER).wait_for()


def test_load_scene_finds_its_file_in_a_list(open_tab, server):
    tab = open_tab()
    tab.load("Text to image", steps=LONG, seed=105, prompt="a photo of a brick mushroom")
    tab.queue()
    tab.wait("running")
    tab.wait_for("() => document.querySelector('.tbsd-scrubber').max > 3")
    tab.button("Save checkpoint").click()
    tab.wait_for("() => document.querySelector('.tbsd-note').textContent.startsWith('Saved tbsd/')")
    tab.button("Stop and keep").click()
    tab.panel("stopped").locator(OFFER).wait_for()
    script = """() => {
        const node = LiteGraph.createNode('TBSD_LoadScene');
        app.graph.add(node);
        window.loading = node;
        node.widgets.find((widget) => widget.type === 'button').callback();
    }"""
    tab.page.evaluate(script)
    dialog = tab.page.locator("dialog.tbsd-picker")
    dialog.locator("li").first.wait_for()
    assert "a photo of a brick mushroom" in dialog.locator("li").first.inner_text()
    tab.wait_for("() => document.querySelector('.tbsd-picker img[src]').naturalWidth > 30")
    tab.shoot("picker")
    value = "() => loading.widgets.find((widget) => widget.name === 'scene_file').value"
    tab.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert tab.page.evaluate(value) == "tbsd/scene_00001.safetensors"
    tab.page.evaluate("() => loading.widgets.find((widget) => widget.type === 'button').callback()")
    dialog.locator("li").first.wait_for()
    tab.page.keyboard.press("Enter")  # the first one has the focus
    dialog.wait_for(state="detached")
    assert (server.base / "output" / tab.page.evaluate(value)).is_file()


def is_of_queueing(response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/prompt")


def offer(tab, *runs: dict) -> None:
    """Let the page hear of runs that can be continued."""
    default = {"prompt": "p", "steps": 9, "at": 1795703400, "text": "", "method": "", "scene": "", "status": "crashed"}
    answer = {"runs": [default | run for run in runs]}
    tab.page.route("**/tbsd/unfinished", lambda route: route.fulfill(json=answer))
    tab.page.evaluate(f"async () => await (await ({MODULE})('panels.js')).refresh()")


def test_a_refused_graph_leaves_the_offer(open_tab):
    """The host shows what is wrong in a dialog; a person puts it right and continues."""
    tab = open_tab()
    tab.is_spent = True  # of the dialog
    node = tab.load("Text to image", steps=-1)["TBSD_OptimizeImage"]
    offer(tab, {"run": "a", "node": node, "step": 3, "nodes": {node: "TBSD_OptimizeImage"}})
    tab.look_at(node)
    with tab.page.expect_response(is_of_queueing) as answer:
        tab.button("Continue").click()
    assert answer.value.status == 400
    tab.panel().locator(".tbsd-note:not(:empty)").wait_for(state="attached", timeout=20_000)
    tab.panel().locator(OFFER).get_by_text("step 3 of 9").wait_for(state="attached")
    tab.errors.clear()  # of the refusal


TWICE = """(id) => {
    const made = app.graph.convertToSubgraph(new Set([app.graph.getNodeById(Number(id))])), one = made.node;
    const other = LiteGraph.createNode(made.subgraph.id), preview = LiteGraph.createNode('PreviewImage');
    for (const node of [other, preview]) app.graph.add(node);
    for (const [i, input] of one.inputs.entries()) {
        const link = app.graph.links.get(input.link);
        if (link) app.graph.getNodeById(link.origin_id).connect(link.origin_slot, other, i);
    }
    other.connect(other.outputs.findIndex(({ type }) => type === 'IMAGE'), preview, 0);
    for (const [i, node] of [one, other].entries()) node.pos = [600 * i, 1500];
    return [one, other].map((node) => `${node.id}:${made.subgraph.nodes[0].id}`);
}"""


def test_a_subgraph_that_is_there_twice_goes_on_with_the_run_of_each(open_tab):
    """One panel inside stands for both: it offers neither."""
    tab = open_tab()
    tab.is_spent = True  # of the dialogs
    ids = tab.page.evaluate(TWICE, tab.load("Text to image", steps=-1)["TBSD_OptimizeImage"])
    runs = {node: f"run of {node}" for node in ids}
    steps = {node: step for step, node in enumerate(ids, 3)}
    about = [{"run": runs[id], "node": id, "step": steps[id], "nodes": {id: "TBSD_OptimizeImage"}} for id in ids]
    offer(tab, *about)
    outside = {id.split(":")[0]: step for id, step in steps.items()}
    for node, step in outside.items():
        tab.look_at(node, scale=0.6)
        panel = tab.panel().filter(has=tab.page.locator(OFFER).get_by_text(f"step {step} of 9")).filter(visible=True)
        with tab.page.expect_response(is_of_queueing) as answer:
            panel.get_by_role("button", name="Continue").dispatch_event("click")  # older hosts' dialog covers it
        sent = answer.value.request.post_data_json["prompt"]
        assert {id: sent[id]["inputs"].get("continue_run") for id in ids} == runs
        panel.wait_for()  # its offer is back
    inside = "app.graph.getNodeById(Number(id)).subgraph.nodes[0].widgets.find(({ type }) => type === 'TBSD_PANEL')"
    assert tab.page.evaluate(f"(id) => {inside}.element.querySelector('.tbsd-offer').hidden", min(outside))
    tab.errors.clear()  # of the refusals


DRAWN = """async (runs) => {
    const { Panel } = await (MODULE)('panel_view.js');
    const panel = new Panel({}), seen = [];
    const state = { step: 0, steps: 9, elapsed: 0, remaining: null, final: false, previews: [], saved: [], warnings: [],
        error: '', resumed: 0, phase: '', plan: '', curves: { steps: [], series: {} } };
    const draw = (run, preview) => {
        panel.model.load({ ...state, run, prompt: run, status: preview === null ? 'failed' : 'done', preview });
        panel.draw();
    };
    const loaded = async () => {
        while (panel.isLoading) await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push(panel.image.getAttribute('src')?.match(/runs.*/)[0] ?? null);
    };
    for (const [run, preview, waits] of runs) {
        draw(run, preview);
        if (waits) await loaded();
    }
    return seen;
}""".replace("MODULE", MODULE)
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_a_run_without_a_picture_does_not_show_that_of_the_run_before(open_tab):
    tab = open_tab()
    picture = base64.b64decode(DOT)
    tab.page.route("**/previews/*", lambda route: route.fulfill(body=picture, content_type="image/png"))
    drawn = [("a", 3, True), ("b", None, True), ("c", 5, True), ("d", 6, False), ("e", None, True), ("c", 5, True)]
    c = "runs/c/previews/5"
    assert tab.page.evaluate(DRAWN, drawn) == ["runs/a/previews/3", None, c, None, c]
    tab.page.unroute("**/previews/*")
