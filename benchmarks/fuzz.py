"""Damaged and hostile input: `python -m benchmarks.fuzz [--count 5000] [--seed 0] [--only meshes scenes ...] [--full]`.

Valid files are damaged at random (bits, cuts, splices, numbers in their headers) and read; the command line gets random
arguments. Every answer must be a result or one of the errors meant for users, with a text; it must come within the time
limit, without an allocation far beyond the size of the file, and nothing may appear outside the output folder. `--full`
continues with large meshes, textures and splats (fuzz_large), which takes an hour or more. Prints a line per kind of
input, and each failure with the number that repeats it (`--seed N --count 1`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tbsd_core.cli import main as command_line
from tbsd_core.experiment import load_scene, save_scene
from tbsd_core.mesh import Mesh, texture_scene, write_mesh
from tbsd_core.mesh.load import load_mesh
from tbsd_core.priors.diffusers import check_pipeline
from tbsd_core.sample_meshes import sample_mesh
from tbsd_core.scenes import GaussianConfig, GaussianScene, ImageConfig, ImageScene, MeshTextureConfig

SHOWN = (ValueError, RuntimeError, ImportError, OSError)  # what the command line and ComfyUI show
SECONDS = 20  # for one input
MEMORY = 2 << 30  # bytes of address space beyond what the process had
NUMBERS = (b"0", b"-1", b"1e309", b"4294967296", b"9223372036854775807", b"null", b'"x"', b"[]", b"NaN", b"99999999")
WORDS = (
    ["run", "demo", "export", "inspect", "presets", "compare", "seeds", "methods", "vocabulary", "nonsense", "sample:"]
    + ["--prompt", "--scene", "--method", "--out", "--steps", "--size", "--seed", "--set", "--resume", "--run"]
    + ["--mesh", "--prior", "--family", "--cameras", "a brick house", "a dragon", "", " ", "nerf", "image", "tbsd"]
    + ["sds", "-1", "0", "1e9", "nan", "\u00e9\u202e\x01", "'", "../escaped", "/proc/self/mem", "NUL", "scene.=", "="]
    + ["optim.n_steps=0", "optim.lr=inf", "guidance.x=1", "out", "sample:house", "diffusers:/etc", "exact", "x" * 5000]
)


class TooLong(Exception):
    """An input took too long."""


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bytes with one to four faults of different kinds."""
    out = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        kind, at = draw.randrange(6), draw.randrange(max(1, len(out)))
        if kind == 0 and out:  # bits
            for _ in range(draw.choice((1, 1, 8, 64))):
                out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
        elif kind == 1:  # the end is missing
            del out[at:]
        elif kind == 2:  # a piece is repeated or missing
            end = min(len(out), at + draw.choice((1, 4, 100)))
            out[at:end] = b"" if draw.random() < 0.5 else bytes(out[at:end]) * 3
        elif kind == 3:  # noise
            out[at:at] = draw.randbytes(draw.choice((1, 4, 64)))
        elif kind == 4 and len(out) >= 16:  # a count or a length in a binary header
            place = draw.randrange(0, min(len(out) - 8, 128))
            out[place : place + 4] = draw.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\1\0\0\0"))
        else:  # a number in a textual header
            digits = [i for i in range(min(len(out), 4000)) if 48 <= out[i] < 58]
            if digits:
                start = end = draw.choice(digits)
                while end < len(out) and 48 <= out[end] < 58:
                    end += 1
                out[start:end] = draw.choice(NUMBERS)
    return bytes(out)


def mesh_seeds(folder: Path) -> list[Path]:
    """A coloured and a textured mesh in every format, and one of two materials with maps."""
    from PIL import Image as pil
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    plain = sample_mesh("cube", 16)
    mesh = Mesh(plain.vertices, plain.faces, np.full_like(plain.vertices, 0.5))
    uvs = (plain.vertices[:, :2] - plain.vertices.min()) / np.ptp(plain.vertices)
    textured = Mesh(plain.vertices, plain.faces, uvs=uvs.astype(np.float32), texture=np.full((8, 8, 3), 0.5, "f4"))
    paths = [folder / f"{name}.{kind}" for name in ("plain", "textured") for kind in ("glb", "obj", "ply")]
    for path in paths:
        write_mesh(mesh if path.stem == "plain" else textured, path)
    import trimesh

    trimesh.Trimesh(plain.vertices, plain.faces).export(folder / "plain.stl")
    two = trimesh.Scene()
    for k in range(2):
        shades = [pil.fromarray(np.full((8, 8, 3), 40 * i + k, dtype=np.uint8)) for i in range(3)]
        look = PBRMaterial(
            baseColorTexture=shades[0],
            metallicRoughnessTexture=shades[1],
            normalTexture=shades[2],
            emissiveFactor=[0.1, 0.2, 0.3 * k],
        )
        visual = TextureVisuals(uv=uvs, material=look)
        two.add_geometry(trimesh.Trimesh(plain.vertices, plain.faces, visual=visual, process=False))
    two.export(folder / "two.glb", include_normals=True)
    return [*paths, folder / "plain.stl", folder / "two.glb"]


def scene_seeds(folder: Path) -> list[Path]:
    """Scene files of several kinds."""
    painted = texture_scene(sample_mesh("cube", 16), MeshTextureConfig(resolutions=(5,)))
    scenes = [ImageScene(ImageConfig(size=8)), GaussianScene(GaussianConfig(n_gaussians=20)), painted]
    paths = [folder / f"{i}.safetensors" for i in range(len(scenes))]
    for scene, path in zip(scenes, paths, strict=True):
        save_scene(scene, path)
    return paths


def checkpoint_seeds(folder: Path) -> list[Path]:
    """The files that tell the kind of a single checkpoint, and a pipeline's index."""
    from safetensors.torch import save_file

    network = "model.diffusion_model.input_blocks."
    weights = {
        f"{network}0.0.weight": torch.zeros(2, 4, 3, 3),
        f"{network}1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(4, 768),
    }
    save_file(weights, str(folder / "model.safetensors"))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return [folder / "model.safetensors", folder / "model_index.json"]


def read_checkpoint(path: Path) -> None:
    check_pipeline(path.parent if path.suffix == ".json" else path)


def run_checkpoint_seeds(folder: Path) -> list[Path]:
    """The checkpoint that a short run leaves."""
    run = ["run", "--prompt", "a brick house", "--scene", "image", "--prior", "exact", "--steps", "1", "--size", "16"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if command_line([*run, "--out", str(folder / "run")]) != 0:
            raise SystemExit("the run that leaves a checkpoint failed")
    return sorted((folder / "run").glob("checkpoint*"))


def read_run_checkpoint(path: Path) -> None:
    from tbsd_core.experiment import read_newest

    read_newest(path.parent).scene()


READERS: dict[str, tuple[Callable[[Path], list[Path]], Callable[[Path], object]]] = {
    "meshes": (mesh_seeds, load_mesh),
    "scenes": (scene_seeds, load_scene),
    "runs": (run_checkpoint_seeds, read_run_checkpoint),
    "models": (checkpoint_seeds, read_checkpoint),
}


def answer(action: Callable[[], object], names: tuple[str, ...] = (), seconds: int = SECONDS) -> str:
    """The answer to an input: ok, the name of an error meant for users, or FAILED and why.

    Args:
        names: one of them must be in the text, so that a user knows which file is meant.
    """

    def late(*_: object) -> None:
        raise TooLong(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        action()
        return "ok"
    except SystemExit as stop:
        return "refused" if stop.code in (0, 2) else f"FAILED: exit code {stop.code}"
    except SHOWN as error:
        told = len(str(error)) >= 12 and (not names or any(name in str(error) for name in names))
        return type(error).__name__ if told else f"FAILED: {type(error).__name__} says only {str(error)!r}"
    except BaseException as error:  # MemoryError, KeyError, TooLong ...: what users must not see
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"FAILED: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    finally:
        signal.alarm(0)


def read_one(kind: str, number: int, seeds: list[Path], folder: Path) -> str:
    """Damage one of the valid files as `number` says, and read it."""
    draw = random.Random(f"{kind} {number}")
    source = draw.choice(seeds)
    place = folder / "damaged"
    place.mkdir(exist_ok=True)
    for other in source.parent.iterdir():  # what lies beside it, as it was
        if other.is_file() and other.parent == source.parent and kind == "runs":
            (place / other.name).write_bytes(other.read_bytes())
    (place / source.name).write_bytes(damaged(source.read_bytes(), draw))
    return answer(lambda: READERS[kind][1](place / source.name), (source.name, str(place)))


def command_one(number: int) -> str:
    """The command line with random words. Long runs are not tried: their steps are one."""
    draw = random.Random(f"command {number}")
    words = [draw.choice(WORDS) for _ in range(draw.randint(1, 7))]
    if words[0] in ("run", "demo", "inspect", "compare", "seeds"):
        words += ["--prior", "exact"] if words[0] != "demo" else ["--nonsense"]
        words += ["--steps", draw.choice(("-1", "0", "x"))] if words[0] != "inspect" else ["--levels", "x"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:

        def go() -> None:
            if command_line(words) != 0 and len(said.getvalue()) < 12:
                raise AssertionError(f"no reason given for {words}")

        return answer(go)


def outside(folder: Path) -> set[Path]:
    """The paths beside the output folder."""
    return {p for p in folder.rglob("*") if "out" not in p.relative_to(folder).parts[:1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="+", choices=[*READERS, "commands"], default=[*READERS, "commands"])
    parser.add_argument("--full", action="store_true", help="large meshes, textures and splats as well")
    args = parser.parse_args()
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        for kind in args.only:
            folder = Path(temporary) / kind
            (folder / "seeds").mkdir(parents=True)
            (folder / "out").mkdir()
            seeds = READERS[kind][0](folder / "seeds") if kind in READERS else []
            for seed in seeds:  # they are valid, and what is started once does not count
                READERS[kind][1](seed)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
            os.chdir(folder / "out")
            before, counts, start = outside(folder), Counter(), time.perf_counter()
            for number in range(args.seed, args.seed + max(1, args.count // len(args.only))):
                got = read_one(kind, number, seeds, folder / "out") if seeds else command_one(number)
                counts[got.split(":")[0]] += 1
                if got.startswith("FAILED"):
                    failures += 1
                    print(f"{kind} {number}: {got}", flush=True)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            strays = outside(folder) - before
            failures += len(strays)
            took = time.perf_counter() - start
            shown = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
            print(f"{kind}: {shown}; {len(strays)} files outside; {took:.0f} s", flush=True)
            os.chdir("/")
    if args.full:
        from benchmarks.fuzz_large import SIZES, run_all  # it imports this module

        failures += run_all(list(SIZES))
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
