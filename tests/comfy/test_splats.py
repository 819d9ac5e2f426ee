"""The file of splats goes on to the host's own nodes, as far as the host has any for files."""

from __future__ import annotations

from pathlib import Path


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def test_the_socket_gives_what_the_hosts_nodes_take(server):
    graph = {
        "scene": node("TBSD_GaussianScene", n_gaussians=100, relocate_every=0, backend="auto", seed=0),
        "save": node("TBSD_SaveSplats", scene=["scene", 0], filename_prefix="tbsd/splats"),
    }
    takes = server.request("/object_info/Preview3D")["Preview3D"]["input"]["required"]["model_file"][0]
    if "FILE_3D" in str(takes).split(","):
        outputs = server.run(graph | {"show": node("Preview3D", model_file=["save", 1])})
        shown = server.base / "output" / outputs["show"]["result"][0]
    else:  # the path, as the tooltip says
        outputs = server.run(graph | {"show": node("PreviewAny", source=["save", 1])})
        shown = Path(outputs["show"]["text"][0])
    saved = server.base / "output" / outputs["save"]["text"][0]
    assert shown.read_bytes() == saved.read_bytes() and saved.stat().st_size > 100 * 50
