"""The shapes that are fuzzed at real sizes (benchmarks/fuzz_large.py), with a few hundred triangles."""

import pytest

from benchmarks.fuzz_large import ENDINGS, SHAPES, through


@pytest.mark.parametrize(("name", "ending"), zip(SHAPES, [*ENDINGS, *ENDINGS, *ENDINGS], strict=False))
def test_any_mesh_comes_back_painted(tmp_path, name, ending):
    said = through(SHAPES[name](300), ending, 64, tmp_path)
    assert "unwrapped" in said and "texture 64" in said
