"""Files and a graph: a mesh is uploaded, nodes say what they made, and what was saved opens the graph that made it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from tbsd_pack.tbsd_core.mesh import write_mesh
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh

GRAPH = """(kinds) => {
    app.graph.clear();
    const nodes = Object.fromEntries(kinds.map((kind, i) => {
        const node = LiteGraph.createNode('TBSD_' + kind);
        node.pos = [60 + 420 * (i % 3), 120 + 420 * Math.floor(i / 3)];
        app.graph.add(node);
        return [kind, node];
    }));
    const set = (kind, name, value) => nodes[kind].widgets.find((widget) => widget.name === name).value = value;
    const join = (from, to) => nodes[from].connect(0, nodes[to], nodes[to].findInputSlot(
        to === 'SaveMesh' ? 'mesh' : 'scene'));
    set('MeshTextureScene', 'detail', 17);
    set('ExtractMesh', 'texture_size', 256);
    for (const kind of ['ExtractMesh', 'SaveScene']) join('MeshTextureScene', kind);
    join('ExtractMesh', 'SaveMesh');
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [0, 0];
    return Object.fromEntries(Object.entries(nodes).map(([kind, node]) => [kind, String(node.id)]));
}"""
KINDS = ["MeshTextureScene", "ExtractMesh", "SaveMesh", "SaveScene", "DemoModels"]
NOTES = """() => {
    const notes = {}, see = (graph) => graph.nodes.forEach((node) => {
        for (const widget of node.widgets ?? [])
            if (widget.name === 'tbsd_note') notes[node.comfyClass] = widget.element.textContent;
        if (node.subgraph) see(node.subgraph);
    });
    see(app.rootGraph ?? app.graph);
    return notes;
}"""
CONTENT = """() => {
    const see = (graph) => graph.nodes.map((node) => [node.type, node.pos, node.widgets_values]);
    const graph = JSON.parse(JSON.stringify((app.rootGraph ?? app.graph).serialize()));
    return [see(graph), (graph.definitions?.subgraphs ?? []).map(see)];
}"""
DROP = """async ([name, content, place]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0)), dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    const [clientX, clientY] = place, about = { dataTransfer, clientX, clientY, bubbles: true, cancelable: true };
    app.canvas.canvas.dispatchEvent(new DragEvent('dragover', about));
    await new Promise(requestAnimationFrame);
    app.canvas.canvas.dispatchEvent(new DragEvent('drop', about));
}"""


def drop(tab, path: Path, place: list[int]) -> None:
    tab.page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode(), place])


SAVES_OWN = """() => Object.keys(LiteGraph.registered_node_types).filter((kind) => {
    if (!kind.startsWith('TBSD_')) return false;
    const node = LiteGraph.createNode(kind), widgets = node.widgets ?? [];
    const own = widgets.filter(({ name }) => name.startsWith('tbsd_')).length;
    return (node.serialize().widgets_values ?? []).length !== widgets.length - own;
})"""


def test_what_the_pack_shows_on_nodes_is_not_saved_in_the_graph(open_tab):
    """A panel or a button has no value: one that is stored is an extra in the file."""
    assert open_tab().page.evaluate(SAVES_OWN) == []


def test_a_mesh_comes_in_and_what_is_saved_opens_its_graph(open_tab, server, tmp_path):
    house = write_mesh(sample_mesh("house", 16), tmp_path / "house.glb")
    (server.base / "output" / "3d").mkdir(exist_ok=True)
    (server.base / "output" / "3d" / "house.glb").write_bytes(b"another file of this name")
    tab = open_tab()
    ids = tab.page.evaluate(GRAPH, KINDS)
    file = f"() => app.graph.getNodeById({ids['MeshTextureScene']}).widgets.find((w) => w.name === 'mesh_file').value"
    press = file.replace("'mesh_file').value", "'tbsd_upload').callback()")
    with tab.page.expect_file_chooser() as chooser:
        tab.page.evaluate(press)
    chooser.value.set_files(house)
    tab.wait_for(f"() => ({file})() === '3d/house.glb [input]'")
    house.write_bytes(write_mesh(sample_mesh("house", 20), tmp_path / "other.glb").read_bytes())
    drop(tab, house, [160, 300])
    tab.wait_for(f"() => ({file})() === '3d/house (1).glb [input]'")
    assert (server.base / "input" / "3d" / "house (1).glb").read_bytes() == house.read_bytes()
    assert len(tab.page.evaluate(CONTENT)[0]) == len(KINDS), "a file for a node opens no graph"
    assert tab.page.evaluate(NOTES).keys() == {"TBSD_DemoModels"}, "nothing is said yet"

    tab.page.evaluate(f"() => app.graph.convertToSubgraph(new Set([app.graph.getNodeById({ids['ExtractMesh']})]))")
    made = tab.page.evaluate(CONTENT)
    tab.queue()
    tab.outputs()
    notes = tab.page.evaluate(NOTES)
    assert "triangles" in notes["TBSD_MeshTextureScene"] and "triangles, texture 256 x 256" in notes["TBSD_ExtractMesh"]
    assert "mushroom" in notes["TBSD_DemoModels"]
    saved = {kind: server.base / "output" / notes[f"TBSD_Save{kind}"] for kind in ("Scene", "Mesh")}
    tab.page.wait_for_timeout(400)
    tab.shoot("files")
    for path in saved.values():
        tab.load("Text to image")
        assert tab.page.evaluate(NOTES).keys() == {"TBSD_DemoModels"}
        drop(tab, path, [1000, 700])
        tab.wait_for("() => app.graph.nodes.some((node) => node.type === 'TBSD_SaveScene')")
        assert tab.page.evaluate(CONTENT) == made
    for _ in range(12):  # through the tabs, to that in which it ran
        if tab.page.evaluate(NOTES) == notes:
            return
        tab.page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
        tab.page.wait_for_timeout(1000)
    raise AssertionError(f"no tab shows {notes} any more")


MIDDLE = """(id) => {
    const node = app.graph.getNodeById(Number(id)), place = app.canvas.canvas.getBoundingClientRect();
    const { scale, offset } = app.canvas.ds;
    return [0, 1].map((k) => (k ? place.top : place.left) + (node.pos[k] + node.size[k] / 2 + offset[k]) * scale);
}"""


@pytest.mark.once
def test_a_file_from_outside_is_dropped_into_a_task_and_run(open_tab, server, outside_glb):
    """As the note of the template says: without its sample, with a file; then Run."""
    tab = open_tab()
    short = {"steps": 2, "views_per_step": 1, "n_views": 2, "border": 1.0}
    nodes = tab.load("Repair the unseen side", **tab.FAST | short, seed=41)
    tab.page.evaluate("(id) => app.graph.remove(app.graph.getNodeById(Number(id)))", nodes["TBSD_SampleMesh"])
    scene = nodes["TBSD_MeshTextureScene"]
    drop(tab, outside_glb, tab.page.evaluate(MIDDLE, scene))
    file = f"() => app.graph.getNodeById({scene}).widgets.find((w) => w.name === 'mesh_file').value"
    tab.wait_for(f"() => ({file})().includes('outside')")
    tab.page.locator('[data-testid="queue-button"]').first.click()
    outputs = tab.outputs()
    tab.page.wait_for_timeout(1500)  # in which the viewer draws
    tab.shoot("a file from outside is repaired")
    given = load_mesh(outside_glb).mesh
    made = load_mesh(server.file(outputs[nodes["TBSD_SaveMesh"]]["3d"][0])).mesh
    np.testing.assert_allclose(made.vertices, given.vertices, atol=1e-4)
    assert np.array_equal(made.uvs, given.uvs) and made.surface.factors == given.surface.factors
    assert np.array_equal(made.surface.metallic_roughness, given.surface.metallic_roughness)
    share = (made.texture != given.texture).any(-1).mean()
    assert 0 < share < 0.95, "what the front view shows is as it was"
