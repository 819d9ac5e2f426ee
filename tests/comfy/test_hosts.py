"""One pack on every host: the table of what differs is right, and the nodes are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "inside" / "hosts.py"


@pytest.fixture(scope="module")
def reports(comfyuis) -> dict[str, dict]:
    if not comfyuis:
        pytest.skip("no ComfyUI: set COMFYUI_PATH to a checkout, or install one with `make comfyui`")
    return {host.name: host.run_script(SCRIPT) for host in comfyuis}


def test_the_table_says_what_each_host_has(reports):
    for name, report in reports.items():
        assert report["table"] == report["there"], name


def test_the_version_is_the_hosts(reports):
    for name, report in reports.items():
        assert ".".join(map(str, report["version"])) == name.split("#")[0]


def test_versions_are_read_and_too_old_ones_refused(reports):
    for report in reports.values():
        newest = report["tested"][-1]
        assert report["read"] == {"0.3.64": [0, 3, 64], "v0.34.0rc1": [0, 34, 0], "1.0": [1, 0], "nightly": newest}
        refused = report["refusals"].pop("0.3.63")
        assert "needs ComfyUI 0.3.64 or newer" in refused and "0.3.63" in refused
        assert set(report["refusals"].values()) == {""}


def test_files_carry_the_graph_unless_the_host_is_told_not_to(reports):
    for report in reports.values():
        assert report["graph"][0] == [{"workflow": '{"id": "\\u00e4"}', "prompt": '{"1": {}}'}, {"prompt": "{}"}]
        assert report["graph"][1] == [{}, {}], "--disable-metadata"


def test_the_docs_name_the_hosts_of_the_table(reports):
    page = (Path(__file__).resolve().parents[2] / "docs" / "real-models.md").read_text(encoding="utf-8")
    rows = page.split("## Tested hosts")[1].split("\n\n")[1].splitlines()[2:]
    for report in reports.values():
        tested = [".".join(map(str, version)) for version in reversed(report["tested"])]
        assert [row.split("|")[1].strip() for row in rows] == tested


def test_the_nodes_are_the_same_on_every_host(reports):
    """The entries of /object_info, but for keys that only one host knows: those say the same of every node."""
    if len(reports) < 2:
        pytest.skip("one ComfyUI: COMFYUI_PATHS names several")
    first, *others = (report["nodes"] for report in reports.values())
    for other in others:
        assert first.keys() == other.keys()
        known = {name: first[name].keys() & other[name].keys() for name in first}
        for name, keys in known.items():
            assert {key: first[name][key] for key in keys} == {key: other[name][key] for key in keys}, name
        for nodes in (first, other):
            new = {name: node.keys() - known[name] - {"search_aliases"} for name, node in nodes.items()}  # each its own
            added = [{key: node[key] for key in new[name]} for name, node in nodes.items()]
            assert all(keys == added[0] for keys in added)
