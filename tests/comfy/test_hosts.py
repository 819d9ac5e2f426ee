"""One pack on every host: the table of what differs is right, and the nodes are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "inside" / "hosts.py"


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(SCRIPT)


def test_the_table_says_what_the_host_has(report):
    assert report["table"] == report["there"]


def test_the_version_is_the_hosts(report, comfyui):
    assert ".".join(map(str, report["version"])) == comfyui.name.split("#")[0]


def test_versions_are_read_and_too_old_ones_refused(report):
    newest = report["tested"][-1]
    assert report["read"] == {"0.3.64": [0, 3, 64], "v0.34.0rc1": [0, 34, 0], "1.0": [1, 0], "nightly": newest}
    refused = report["refusals"].pop("0.3.63")
    assert "needs ComfyUI 0.3.64 or newer" in refused and "0.3.63" in refused
    assert set(report["refusals"].values()) == {""}


def test_a_host_of_the_readmes_table_is_one_of_the_codes(report):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    rows = readme.split("Tested hosts")[1].split("\n\n")[1]
    assert [line.split("|")[1].strip() for line in rows.splitlines()[2:]] == [
        ".".join(map(str, version)) for version in reversed(report["tested"])
    ]


def test_the_nodes_are_the_same_on_every_host(comfyuis):
    """What /object_info says of them, but for keys that only one host knows: those say the same of every node."""
    if len(comfyuis) < 2:
        pytest.skip("one ComfyUI: COMFYUI_PATHS names several")
    first, *others = (comfyui.run_script(SCRIPT)["nodes"] for comfyui in comfyuis)
    for other in others:
        assert first.keys() == other.keys()
        known = {name: first[name].keys() & other[name].keys() for name in first}
        for name, keys in known.items():
            assert {key: first[name][key] for key in keys} == {key: other[name][key] for key in keys}, name
        for nodes in (first, other):
            added = [{key: node[key] for key in node.keys() - known[name]} for name, node in nodes.items()]
            assert all(keys == added[0] for keys in added)
