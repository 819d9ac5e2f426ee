"""Coverage-guided fuzzing of one reader: `python -m benchmarks.fuzz_coverage meshes -atheris_runs=20000 [CORPUS]`.

Atheris (`pip install atheris`, Linux) mutates valid files towards code not yet reached; benchmarks/fuzz.py says what
counts as a failure. Kinds: meshes, scenes, runs, models. Arguments after the kind go to libFuzzer.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tbsd_core", "trimesh", "safetensors"]):
    from benchmarks.fuzz import READERS, answer
    from tbsd_core.mesh.read import read_mesh


def main() -> None:
    kind = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if kind not in READERS:
        raise SystemExit(f"Name a kind of file first: {', '.join(READERS)}.")
    make, read = READERS[kind]
    if kind == "meshes":  # in this process, where its code is seen
        read = lambda path: read_mesh(lambda done: None, str(path), True)  # noqa: E731
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "seeds").mkdir()
        (folder / "corpus").mkdir()
        seeds = make(folder / "seeds")
        for path in seeds:  # the first byte says which file is damaged
            (folder / "corpus" / path.name).write_bytes(bytes([seeds.index(path)]) + path.read_bytes())

        def one(data: bytes) -> None:
            source = seeds[data[0] % len(seeds)] if data else seeds[0]
            valid = source.read_bytes()
            source.write_bytes(data[1:])
            try:
                got = answer(lambda: read(source), (source.name, str(source.parent)))
            finally:
                source.write_bytes(valid)
            if got.startswith("FAILED"):
                raise AssertionError(got)

        atheris.Setup([sys.argv[0], *sys.argv[1:], str(folder / "corpus"), "-max_len=200000"], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
