"""People find the nodes by their own words, among all nodes of a current ComfyUI."""

from __future__ import annotations

import re

import pytest

SEARCHES = {
    "retexture": {"TBSD_MeshTextureScene"},
    "text to 3d": {"TBSD_Optimizer3D", "TBSD_NeRFScene"},
    "dreamfusion": {"TBSD_SDSGuidance", "TBSD_Optimizer3D"},
    "sds": {"TBSD_SDSGuidance"},
    "score distillation": {"TBSD_Optimizer3D", "TBSD_OptimizeImage", "TBSD_Guidance", "TBSD_SDSGuidance"},
    "nerf": {"TBSD_NeRFScene"},
    "gaussian splat": {"TBSD_GaussianScene"},
    "image to 3d": {"TBSD_Zero123Prompt"},
    "negative prompt": {"TBSD_TargetNegativePrompt"},
    "turntable": {"TBSD_RenderViews"},
    "inpaint 3d": {"TBSD_RegionFromView"},
    "restyle": {"TBSD_MeshTextureScene", "TBSD_ImageScene"},
}


def rank(query: str, text: str) -> tuple[int, float] | None:
    """How well a text answers, as the browser's search sorts what it found: the same words first, then texts that begin
    with them, that have them as words, and that have them at all; shorter ones first. None if a word is missing."""
    text, parts = text.lower(), query.split()
    words = re.split(r"[^a-z0-9]+", text)
    if text == query:
        return 0, 0
    if text.startswith(query):
        return 1, len(text)
    if query in words:
        return 2, text.index(query) + len(text) / 2
    if query in text:
        return 3, text.index(query) + len(text) / 2
    if all(part in words for part in parts):
        return 4, len(text)
    return (5, len(text)) if all(part in text for part in parts) else None


def found(query: str, nodes: dict) -> list[str]:
    """Ids of the nodes that a search gives, best first."""
    ranks = {}
    for name, node in nodes.items():
        texts = [name, node.get("display_name") or "", *(node.get("search_aliases") or [])]
        hits = [hit for text in texts if (hit := rank(query, text)) is not None]
        if hits:
            ranks[name] = min(hits)
    return sorted(ranks, key=lambda name: ranks[name])


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    return server.request("/object_info")


@pytest.mark.since("0.10.0")
@pytest.mark.parametrize("query", SEARCHES)
def test_the_right_node_is_among_the_first_five(nodes, query):
    assert SEARCHES[query] & set(found(query, nodes)[:5]), found(query, nodes)[:10]


@pytest.mark.since("0.10.0")
def test_every_node_has_words_and_none_that_say_its_name_again(nodes):
    for name, node in nodes.items():
        if name.startswith("TBSD_"):
            words = node["search_aliases"]
            assert words and len(set(words)) == len(words), name
            assert all(word == word.lower() for word in words), name
            assert node["display_name"].lower() not in words, name


def test_words_are_for_nodes_that_there_are(nodes):
    import ast
    from pathlib import Path

    source = (Path(__file__).resolve().parents[2] / "nodes" / "aliases.py").read_text(encoding="utf-8")
    table = next(n for n in ast.parse(source).body if isinstance(n, ast.AnnAssign) and n.target.id == "ALIASES")
    named = {key.value for key in table.value.keys}
    assert named <= nodes.keys(), named - nodes.keys()
