"""Every template and blueprint as a newcomer sees it: at the zoom at which it opens, in both renderers."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image
from tbsd_pack.tbsd_core.experiment import read_newest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(p.stem for p in (ROOT / "workflows").glob("*.json"))
OF_REAL_MODELS = [name for name in TEMPLATES if " with SD" in name or " with Stable" in name]
OPTIMIZERS = {"TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh"}
NEEDS = {"TripoSplat refined with SD 1.5": (0, 23)}  # whose nodes older hosts do not have
SHOWING = {"SaveImage", "PreviewImage"}  # optimisers show their panel


def nodes_2(tab, on: bool) -> None:
    """Draw the nodes of the open graph by the host's newer renderer, or by the classic one."""
    tab.set("Comfy.VueNodes.Enabled", on)
    tab.page.wait_for_function(
        "(on) => Boolean(document.querySelector('[data-node-id] [data-testid^=node-body]')) === on", arg=on
    )
    tab.page.wait_for_timeout(600)  # in which they get their sizes


def boxes(tab) -> list[dict]:
    """Where the nodes are on the page, with their title bars and, in Nodes 2.0, what hangs below them."""
    script = """() => {
        const { scale, offset } = app.canvas.ds, place = app.canvas.canvas.getBoundingClientRect();
        const title = LiteGraph.NODE_TITLE_HEIGHT;
        return app.canvas.graph.nodes.map((node) => {
            const element = document.querySelector(`[data-node-id="${node.id}"]`);
            if (element) {
                const all = [element, ...element.children].map((each) => each.getBoundingClientRect());
                return {name: node.title, left: all[0].left, right: all[0].right, top: all[0].top,
                    bottom: Math.max(...all.map(({bottom}) => bottom))};
            }
            const [x, y] = node.pos, height = Math.max(node.size[1], node.computeSize()[1]);
            return {name: node.title, left: place.left + (x + offset[0]) * scale,
                right: place.left + (x + node.size[0] + offset[0]) * scale,
                top: place.top + (y - title + offset[1]) * scale,
                bottom: place.top + (y + height + offset[1]) * scale};
        });
    }"""
    return tab.page.evaluate(script)


def off_screen(tab) -> list[str]:
    """Nodes that the view leaves out, with the host's bar at the left."""
    return [
        box["name"]
        for box in boxes(tab)
        if box["left"] < 60 or box["top"] < 0 or box["right"] > 1500 or box["bottom"] > 950
    ]


def overlaps(tab) -> list[str]:
    """Pairs of nodes that cover each other."""
    return [
        f"{a['name']} and {b['name']}"
        for a, b in combinations(boxes(tab), 2)
        if min(a["right"], b["right"]) - max(a["left"], b["left"]) > 1
        and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 1
    ]


def pictures(tab) -> dict[str, int]:
    """How many pictures each node of the open graph or subgraph shows, by its class: its panel's and the host's."""
    script = """() => {
        const counts = {};
        for (const node of app.canvas.graph.nodes) {
            const element = document.querySelector(`[data-node-id="${node.id}"]`);
            const panels = (node.widgets ?? []).filter((widget) => widget.type === 'TBSD_PANEL');
            const shown = (image) => image.offsetParent !== null && image.naturalWidth > 0 && image.src;
            const inside = element ? [...element.querySelectorAll('img')].filter(shown).length
                : panels.flatMap(({ element }) => [...element.querySelectorAll('img')]).filter(shown).length;
            const draws = (node.widgets ?? []).some((widget) => widget.name === '$$canvas-image-preview');
            const drawn = element || !draws ? 0 : (node.imgs ?? []).length;
            counts[node.comfyClass ?? node.type] = inside + drawn;
        }
        return counts;
    }"""
    return tab.page.evaluate(script)


# of the panels on the screen: those beside it show nothing until they are looked at
SHOWS_PICTURE = """() => [...document.querySelectorAll('.tbsd-stage img')]
    .some(img => img.offsetParent !== null && img.naturalWidth > 30)"""
ONE_PICTURE = OPTIMIZERS | {"TBSD_InspectDirections", "TBSD_OverTime", "TBSD_SweepShape", "TBSD_ObjectivePath"}
ONE_PICTURE |= {"TBSD_Compare"}
RENDERERS = {"": False, " in Nodes 2.0": True}  # the second is on the newer host alone: early ones leave out panels


def renderers(comfyui) -> dict[str, bool]:
    return {name: on for name, on in RENDERERS.items() if not on or comfyui.version >= (0, 33)}


def test_every_template_opens_runs_and_shows_its_results(open_tab, comfyui):
    """Short runs of those on the demo model in one tab, looked at in both renderers; nothing is zoomed or moved. The
    screenshots show the whole graphs with their pictures."""
    tab = open_tab()
    for seed, name in enumerate((name for name in TEMPLATES if name not in OF_REAL_MODELS), 21):
        nodes = tab.load(name, **tab.FAST, seed=seed)  # its own, or a stage would come from the cache
        assert tab.missing_nodes() == [], name
        tab.page.wait_for_timeout(200)  # in which nodes grow to hold their widgets
        assert overlaps(tab) == [] and off_screen(tab) == [], name
        tab.queue()
        outputs = tab.outputs()
        shows = {node for kind, node in nodes.items() if kind in SHOWING}
        assert {node for node in shows if not (outputs.get(node) or {}).get("images")} == set(), name
        for kind in OPTIMIZERS & nodes.keys():
            assert outputs[nodes[kind]]["images"], "the host knows them"
        for renderer, on in renderers(comfyui).items():
            if on:
                nodes_2(tab, on)
            if OPTIMIZERS & nodes.keys():
                tab.wait("done")
                tab.wait_for(SHOWS_PICTURE)
                assert tab.draws_curves(100), name
            tab.page.wait_for_timeout(400)  # in which pictures are loaded and drawn
            tab.shoot(f"template {name}{renderer}")
            assert overlaps(tab) == [] and off_screen(tab) == [], f"{name}{renderer}: nodes grow with what they say"
            for _ in range(25):  # a busy machine is slow to load them
                once = {kind: n for kind, n in pictures(tab).items() if kind in ONE_PICTURE}
                if 0 not in once.values():
                    break
                tab.page.wait_for_timeout(200)
            assert set(once.values()) <= {1}, f"{name}{renderer}: {once}"
        if on:
            nodes_2(tab, False)


@pytest.fixture
def checkpoints(server, checkpoint_of, comfyui):
    """Under the names that the templates ask for, as a user would put them there: random weights in the true shapes."""
    graphs = [json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8")) for name in OF_REAL_MODELS]
    models = [model for g in graphs for node in g["nodes"] for model in node["properties"].get("models", [])]
    files = sorted({server.base / "models" / model["directory"] / model["name"] for model in models})
    Image.new("RGB", (64, 64), "gray").save(server.base / "input" / "example.png")  # which every ComfyUI has
    for file in files:
        file.parent.mkdir(exist_ok=True)
        if file.parent.name == "controlnet":
            comfyui.run_script(ROOT / "tests" / "comfy" / "inside" / "controlnet.py", file)
        else:
            file.hardlink_to(checkpoint_of("sdxl" if "xl" in file.stem else "sd15"))
    yield
    for file in files:
        file.unlink()


@pytest.mark.once
def test_templates_of_real_models_need_a_checkpoint_and_nothing_else(open_tab, checkpoints, comfyui):
    tab = open_tab()
    for name in OF_REAL_MODELS:
        if comfyui.version < NEEDS.get(name, (0,)):
            continue
        tab.load(name, **tab.FAST | {"steps": 2, "views_per_step": 1}, seed=21)
        assert tab.missing_nodes() == [], name
        tab.page.wait_for_timeout(200)
        for renderer, on in renderers(comfyui).items():
            if on:
                nodes_2(tab, on)
            tab.shoot(f"template {name}{renderer}")
            assert overlaps(tab) == [] and off_screen(tab) == [], f"{name}{renderer}"
        if on:
            nodes_2(tab, False)


# SDXL at 1024 pixels takes minutes on a CPU; over the API it always runs (tests/comfy/test_real_models.py)
RUNS = [("Texture my mesh with SD 1.5", 512)]
RUNS += [("Text to 3D with SDXL", 1024)] if os.environ.get("TBSD_TEST_SDXL") else []


@pytest.mark.once
@pytest.mark.parametrize("name, size", RUNS)
def test_run_is_all_that_a_template_of_a_real_model_needs(open_tab, server, checkpoints, name, size):
    """Small views reach the model at its own size."""
    tab = open_tab()
    short = {"steps": 2, "views_per_step": 1, "n_views": 3, "view_dependent": False}
    nodes = tab.load(name, **tab.FAST | short, seed=21)
    tab.page.locator('[data-testid="queue-button"]').first.click()
    tab.outputs(seconds=600)
    tab.look_at(nodes["TBSD_Optimizer3D"])
    tab.wait("done")
    assert "trained on pictures" not in tab.panel().inner_text()
    newest = read_newest(max((server.base / "output" / "tbsd" / "runs").iterdir()))
    optim = newest.run.config["optim"]
    assert (optim["size"], optim["encode_size"], optim["n_steps"]) == (48, size, 2)
    tab.show_all()
    tab.shoot(f"{name} has run")


TASKS = ("Edit", "Repa", "Restyle", "Sharpen")  # alike on all hosts
BLUEPRINTS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.once] if path.stem.startswith(TASKS) else [])
    for path in sorted((ROOT / "subgraphs").glob("*.json"))
]
ON_CANVAS = """async ([graph, values]) => {
    await app.loadGraphData(graph);
    const [node] = app.graph.nodes;
    const add = (kind, x, y) => {
        const other = LiteGraph.createNode(kind);
        other.pos = [x, y];
        app.graph.add(other);
        return other;
    };
    const models = add('TBSD_DemoModels', -400, 0), preview = add('PreviewImage', 500, 0);
    for (const name of ['MODEL', 'CLIP', 'VAE'])
        models.connect(name, node, node.inputs.findIndex((input) => input.type === name));
    const mesh = node.inputs.findIndex((input) => input.type === 'MESH');
    const set = (node) => {
        for (const widget of node.widgets) if (widget.name in values) widget.value = values[widget.name];
    };
    if (mesh >= 0) {
        const sample = add('TBSD_SampleMesh', -400, 400);
        set(sample);
        sample.connect(0, node, mesh);
    }
    const image = node.inputs.findIndex((input) => input.type === 'IMAGE');
    if (image >= 0) add('EmptyImage', -400, 400).connect(0, node, image);
    node.connect(node.outputs.findIndex((output) => output.type === 'IMAGE'), preview, 0);
    set(node);
    return {node: String(node.id), preview: String(preview.id)};
}"""
ENTER = """(id) => {
    const node = app.graph.getNodeById(Number(id));
    app.canvas.openSubgraph(node.subgraph, node);
}"""


@pytest.mark.parametrize("path", BLUEPRINTS)
def test_a_blueprint_runs_and_shows_it_outside_and_inside(open_tab, server, comfyui, path):
    """One run of the subgraph between Demo Models and a preview, with small values in the widgets that it shows."""
    tab = open_tab()
    values = {"steps": 8, "size": 48, "detail": 17, "seed": 31, "prompt": "a photo of a wooden torus"}
    values |= {"material": "brick", "source_prompt": "a photo of a brick torus"}
    ids = tab.page.evaluate(ON_CANVAS, [json.loads(path.read_text(encoding="utf-8")), values])
    assert tab.missing_nodes() == []
    tab.queue()
    assert tab.outputs()[ids["preview"]]["images"]
    (entry,) = server.request("/history?max_items=1").values()
    ran = {node["class_type"]: node["inputs"] for node in entry["prompt"][2].values()}
    (work,) = (OPTIMIZERS | {"TBSD_Compare"}) & ran.keys()
    assert (ran[work]["steps"], ran[work]["seed"]) == (8, 31)
    assert ran["TBSD_PromptEncode"]["prompt"] == values["prompt"]
    has_panel = work in OPTIMIZERS
    tab.show_all()
    for renderer, on in renderers(comfyui).items():
        if on:
            nodes_2(tab, on)
        if has_panel:
            tab.wait("done")
            tab.wait_for(SHOWS_PICTURE)
        tab.page.wait_for_timeout(400)
        tab.shoot(f"blueprint {path.stem}{renderer}")
        assert overlaps(tab) == [], renderer
        if has_panel or on:  # older hosts show no pictures of subgraphs outside
            outside = [n for kind, n in pictures(tab).items() if kind not in ("PreviewImage", "TBSD_DemoModels")]
            assert max(outside) == 1, renderer
    tab.page.evaluate(ENTER, ids["node"])
    tab.page.wait_for_timeout(600)
    tab.show_all()
    for renderer, on in reversed(renderers(comfyui).items()):
        if len(renderers(comfyui)) > 1:
            nodes_2(tab, on)
        tab.shoot(f"blueprint {path.stem} inside{renderer}")
        assert overlaps(tab) == [], renderer
        assert pictures(tab)[work] == 1, renderer
    # frontend 1.27 says so of its own canvas when a subgraph is opened
    tab.errors[:] = [error for error in tab.errors if "graph that was never set up" not in error]
