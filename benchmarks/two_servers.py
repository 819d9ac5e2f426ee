"""Two servers on one output folder, six templates at once: `python -m benchmarks.two_servers [--steps 8]`.

Each template runs alone first, on a server with a folder of its own. Then two servers that write into one folder run
three of them each at the same time. Every run must end in a folder of its own, with the scene, the moments and the
curves that it has alone, bit for bit, and no file of another may change after its end. Needs a ComfyUI.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import tempfile
from pathlib import Path

from tbsd_core.configuration import differences
from tbsd_core.experiment import NEWEST, Stored, read_newest
from tests.hosts import ROOT, find_comfyui
from tests.servers import started
from tests.servers import templates as names

from .kills import equal_runs

OPTIMIZERS = ("TBSD_OptimizeImage", "TBSD_Optimizer3D", "TBSD_RefineAsMesh")


def templates(steps: int) -> dict[str, dict]:
    """Templates with Optimize nodes as the server takes them, and one of them once more with another seed."""
    found = {}
    for name in names():
        prompt = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
        if any(node["class_type"] in OPTIMIZERS for node in prompt.values()):
            found[name] = shortened(prompt, steps)
    again = found["Text to image, seed 9"] = copy.deepcopy(found["Text to image"])
    # or ComfyUI serves one from the cache of another that has its nodes
    for seed, prompt in enumerate([*found.values()]):
        for node in prompt.values():
            if node["class_type"] in OPTIMIZERS:
                node["inputs"]["seed"] = 9 if prompt is again else 10 + seed
    return found


def shortened(prompt: dict, steps: int) -> dict:
    for node in prompt.values():
        inputs = node["inputs"]
        if node["class_type"] in OPTIMIZERS:
            inputs["steps"] = steps
        if node["class_type"] == "TBSD_ExtractMesh":
            inputs |= {"resolution": 48, "faces": 1000, "texture_size": 256}
        if node["class_type"] == "TBSD_RenderViews":
            inputs |= {"frames": 4} if "frames" in inputs else {}
    return prompt


def runs_of(output: Path, queued: dict[str, str]) -> dict[tuple[str, str], Path]:
    """The folder of each run by its template and its node."""
    names = {prompt: name for name, prompt in queued.items()}
    found = {}
    for path in (output / "tbsd" / "runs").iterdir():
        about = json.loads((path / "about.json").read_text(encoding="utf-8"))
        found[names[about["prompt"]], about["node"]] = path
    return found


def times(folder: Path) -> dict[str, float]:
    return {p.name: p.stat().st_mtime for p in folder.iterdir() if p.suffix in (".safetensors", ".jpg")}


def gaps(found: Stored | None, expected: Stored) -> str:
    """Where two runs differ, for whoever looks for the reason."""
    if found is None or found.run is None or expected.run is None:
        return "it is not there"
    said = [f"{k} {text}" for k, text in differences(expected.run.config, found.run.config).items()]
    for name, value in expected.run.tensors.items():
        other = found.run.tensors.get(name)
        gap = float("inf") if other is None or other.shape != value.shape else float((other - value).abs().max())
        said += [f"{name} by {gap:.1e}"] if gap else []
    said += [] if found.run.curves == expected.run.curves else ["curves"]
    return "; ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description="Two servers on one output folder, six templates at once.")
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI (make comfyui).")
    prompts = templates(arguments.steps)
    with tempfile.TemporaryDirectory() as base:
        with started(comfyui, Path(base) / "alone") as server:
            queued = {}
            for name, prompt in prompts.items():
                queued[name] = server.queue(prompt)
                server.wait(queued[name], seconds=600)
            folders = runs_of(server.base / "output", queued)
            expected = {key: read_newest(path / NEWEST) for key, path in folders.items()}
        with started(comfyui, Path(base) / "a") as a, started(comfyui, Path(base) / "b") as b:
            shutil.rmtree(b.base / "output")
            (b.base / "output").symlink_to(a.base / "output", target_is_directory=True)
            places = {name: (a, b)[k % 2] for k, name in enumerate(prompts)}
            queued = {name: places[name].queue(prompt) for name, prompt in prompts.items()}
            ended: dict[tuple[str, str], dict[str, float]] = {}
            for name, prompt_id in queued.items():
                entry = places[name].wait(prompt_id, seconds=1200)
                if entry["status"]["status_str"] != "success":
                    raise SystemExit(f"{name} failed: {entry['status']}\n{places[name].log_tail()}")
                folders = runs_of(a.base / "output", queued)
                ended |= {key: times(path) for key, path in folders.items() if key[0] == name}
            folders = runs_of(a.base / "output", queued)
            found = {key: read_newest(path / NEWEST) for key, path in folders.items()}
            touched = [key for key, path in folders.items() if times(path) != ended[key]]
    different = [key for key in expected if key not in found or not equal_runs(found[key], expected[key])]
    print(f"{len(prompts)} templates ({', '.join(prompts)}) on two servers in one folder: {len(found)} runs,")
    print(f"{len(different)} differ from the same run alone {different},")
    for key in different:
        print(f"{key}: {gaps(found.get(key), expected[key])}")
    print(f"{len(touched)} touched after their end {touched}")
    raise SystemExit(bool(different or touched))


if __name__ == "__main__":
    main()
