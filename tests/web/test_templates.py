"""Every template and blueprint as a newcomer sees it: at the zoom at which it opens, in both renderers."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path

import pytest
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


def looks_right(tab, name: str, comfyui) -> None:
    """A screenshot in each renderer, and no node covers another one or lies beside the screen."""
    for renderer, on in renderers(comfyui).items():
        if on:
            nodes_2(tab, on)
        tab.shoot(f"template {name}{renderer}")
        assert overlaps(tab) == [] and off_screen(tab) == [], f"{name}{renderer}"
    if on:
        nodes_2(tab, False)


def sent_beyond_twin(tab, name: str, schemas: dict) -> list:
    """Where what Run would send is not the API twin of a template; widgets that the twin leaves out may have the
    defaults that the host gives them then."""
    sent = tab.page.evaluate("async () => (await app.graphToPrompt()).output")
    twin = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    kinds = [{key: node["class_type"] for key, node in graph.items()} for graph in (sent, twin)]
    if kinds[0] != kinds[1]:
        return kinds
    differing = []
    for key, node in sent.items():
        inputs = schemas[node["class_type"]]["input"]
        known = {**inputs.get("required", {}), **inputs.get("optional", {})}
        known.pop("codec", None)  # of Save Video: newer hosts ask for it inside the format
        defaults = {k: spec[1]["default"] for k, spec in known.items() if len(spec) > 1 and "default" in spec[1]}
        expected = {**defaults, **twin[key]["inputs"]}
        found = {k: v for k, v in node["inputs"].items() if k in known}  # PreviewAny sends what it shows, too
        both = ((k, found.get(k), expected.get(k)) for k in found.keys() | expected.keys() if k in known)
        differing += [(key, *each) for each in both if each[1] != each[2]]
    return differing


def test_every_template_opens_as_its_twin(open_tab, server, asked_for, comfyui):
    """A press of Run sends the graph that tests/comfy/test_workflows.py runs over the API."""
    tab, schemas, sent = open_tab(), server.request("/object_info"), {}
    tab.page.evaluate("() => app.refreshComboInNodes()")  # with the files that are asked for
    for name in TEMPLATES:
        if comfyui.version < NEEDS.get(name, (0,)):
            continue
        tab.load(name)
        assert tab.missing_nodes() == [], name
        tab.page.wait_for_timeout(200)  # in which nodes grow to hold their widgets
        sent[name] = sent_beyond_twin(tab, name, schemas)
        looks_right(tab, name, comfyui)
    assert {name: differing for name, differing in sent.items() if differing} == {}


ON_DEMO = [name for name in TEMPLATES if name not in OF_REAL_MODELS]
# with a panel and the pictures of an analysis; test_browser.py runs a picture and an object, test_files.py an upload
FEW = ["Analyse directions"]
assert set(FEW) <= set(ON_DEMO)
REST = [name for name in ON_DEMO if name not in FEW]


@pytest.mark.once
@pytest.mark.parametrize("names", [FEW, pytest.param(REST, marks=pytest.mark.slow)], ids=["few", "rest"])
def test_a_template_runs_and_shows_its_results(open_tab, comfyui, names):
    """Short runs of those on the demo model in one tab, looked at in both renderers; nothing is zoomed or moved. The
    screenshots show the whole graphs with their pictures."""
    tab = open_tab()
    for seed, name in enumerate(names, 21):
        nodes = tab.load(name, **tab.FAST, seed=seed)  # its own, or a stage would come from the cache
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
            tab.shoot(f"template {name}{renderer} has run")
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
def checkpoints(server, checkpoint_of, asked_for, comfyui):
    """Random weights in the true shapes in those files, as a user would put them there."""
    for file in asked_for:
        file.unlink()
        if file.parent.name == "controlnet":
            comfyui.run_script(ROOT / "tests" / "comfy" / "inside" / "controlnet.py", file)
        else:
            file.hardlink_to(checkpoint_of("sdxl" if "xl" in file.stem else "sd15"))


# SDXL at 1024 pixels takes minutes on a CPU; over the API it always runs (tests/comfy/test_real_models.py)
RUNS = [("Texture my mesh with SD 1.5", 512)]
RUNS += [("Text to 3D with SDXL", 1024)] if os.environ.get("TBSD_TEST_SDXL") else []


@pytest.mark.slow  # that Run sends the twin is seen above, and test_real_models.py runs one with a checkpoint
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


BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
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


def between_models_and_preview(tab, path: Path) -> dict[str, str]:
    """A blueprint on an empty canvas with small values in its widgets; the ids of its node and of the preview."""
    ids = tab.page.evaluate(ON_CANVAS, [json.loads(path.read_text(encoding="utf-8")), VALUES])
    assert tab.missing_nodes() == [], path.stem
    return ids


def work_of(graph: dict) -> str:
    """The class of the node that does the work of a blueprint's graph, in which the values must have arrived."""
    found = {node["class_type"]: node["inputs"] for node in graph.values()}
    (work,) = (OPTIMIZERS | {"TBSD_Compare"}) & found.keys()
    assert (found[work]["steps"], found[work]["seed"]) == (VALUES["steps"], VALUES["seed"])
    assert found["TBSD_PromptEncode"]["prompt"] == VALUES["prompt"]
    return work


VALUES = {"steps": 8, "size": 48, "detail": 17, "seed": 31, "prompt": "a photo of a wooden torus"}
VALUES |= {"material": "brick", "source_prompt": "a photo of a brick torus"}


def test_every_blueprint_opens_and_the_host_takes_it(open_tab, server, comfyui):
    """tests/comfy/test_blueprints.py compares them with the templates, whose twins run."""
    tab = open_tab()
    for path in BLUEPRINTS:
        ids = between_models_and_preview(tab, path)
        sent = tab.page.evaluate("async () => (await app.graphToPrompt()).output")
        work_of(sent)
        server.takes(sent)
        tab.show_all()
        tab.shoot(f"blueprint {path.stem}")
        assert overlaps(tab) == [], path.stem
        tab.page.evaluate(ENTER, ids["node"])
        tab.page.wait_for_timeout(600)
        tab.show_all()
        for renderer, on in renderers(comfyui).items():
            if on:
                nodes_2(tab, on)
            tab.shoot(f"blueprint {path.stem} inside{renderer}")
            assert overlaps(tab) == [], path.stem + renderer
        if on:
            nodes_2(tab, False)
        tab.leave_subgraph()
    leave_out_early_complaints(tab)


def leave_out_early_complaints(tab) -> None:
    """Frontend 1.27 complains of its own canvas when a subgraph is opened."""
    tab.errors[:] = [error for error in tab.errors if "graph that was never set up" not in error]


@pytest.mark.once
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem.startswith("Text to 3D") else pytest.mark.slow)
        for path in BLUEPRINTS
    ],
)
def test_a_blueprint_runs_and_shows_it_outside_and_inside(open_tab, server, comfyui, path):
    """One run of the subgraph between Demo Models and a preview, with small values in the widgets that it shows."""
    tab = open_tab()
    ids = between_models_and_preview(tab, path)
    tab.queue()
    assert tab.outputs()[ids["preview"]]["images"]
    (entry,) = server.request("/history?max_items=1").values()
    work = work_of(entry["prompt"][2])
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
    leave_out_early_complaints(tab)
