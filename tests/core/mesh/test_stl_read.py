"""STL files as programs write them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tbsd_core.mesh.load import load_mesh

TEXT = (
    "solid a vertex b\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1.0E+00 0 0\n   vertex 1 1 0\n"
    "  endloop\n endfacet\nendsolid a\n"
)
TRIANGLE = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.upper().encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\r\n").replace(" ", "\t").encode(),
        b"\n " + TEXT.encode(),
        *(head.ljust(80, pad) + struct.pack("<I", 1) + TRIANGLE + tail
          for head in (b"solid by a program", b"COLOR=abcd", b"") for pad in (b" ", b"\0") for tail in (b"", b"more")),
    ],
)  # fmt: skip
def test_triangles_are_read_from_text_and_bytes(tmp_path, data):
    (tmp_path / "a.stl").write_bytes(data)
    mesh = load_mesh(tmp_path / "a.stl").mesh
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]])


def test_solids_are_counted(tmp_path):
    (tmp_path / "a.stl").write_text(TEXT + TEXT.replace(" 0\n", " 5\n") + "solid empty\nendsolid\n")
    loaded = load_mesh(tmp_path / "a.stl")
    assert len(loaded.mesh.faces) == 2 and "2 objects joined" in loaded.report


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(80) + struct.pack("<I", 3) + TRIANGLE, "declares 3 triangles and has 1"),
        (b"solid a".ljust(80, b"\0") + struct.pack("<I", 3) + TRIANGLE, "declares 3 triangles and has 1"),
        (b"hello", "damaged"),
        (b"solid a\nendsolid a\n", "no faces"),
        (TEXT.replace("   vertex 1 1 0\n", "").encode(), "three corners"),
        (TEXT.replace("1 1 0", "1 1").encode(), "expected 3"),
        (TEXT.replace("1 1 0", "1 1 one").encode(), "not a number"),
    ],
)
def test_damaged_files_are_refused(tmp_path, data, message):
    (tmp_path / "a.stl").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        load_mesh(tmp_path / "a.stl")
