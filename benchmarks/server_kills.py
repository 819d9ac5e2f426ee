"""Kill ComfyUI at random moments and continue the run: `python -m benchmarks.server_kills [--kills 20]`.

A short "Text to 3D" with Extract Mesh and Save Mesh runs on a real server, which is killed (SIGKILL) at a random moment
between the first step and the end of the graph, extraction and saving among them. The server is started again on the
same folders and must offer the run. First the graph is queued unchanged ("Run", cancelled at its first steps): the
offered run's files must stay as they are. Then the run is continued, and its scene, its moments and its curves must
equal the undisturbed run's, bit for bit. Needs a ComfyUI.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import time
from pathlib import Path

from tbsd_core.experiment import NEWEST, read_newest
from tests.hosts import ROOT, find_comfyui
from tests.servers import Server, started

from .kills import equal_runs

OPTIMIZER = "TBSD_Optimizer3D"
STEPS = 24


def graph() -> tuple[dict, str]:
    """The graph, short, and the id of its Optimize node."""
    found = json.loads((ROOT / "tests" / "workflows" / "Text to 3D.json").read_text(encoding="utf-8"))
    optimizer = next(k for k, v in found.items() if v["class_type"] == OPTIMIZER)
    found[optimizer]["inputs"] |= {"steps": STEPS, "size": 32, "views_per_step": 2}
    for node in found.values():
        if node["class_type"] == "TBSD_ExtractMesh":
            node["inputs"] |= {"resolution": 48, "faces": 1000, "texture_size": 256}
        if node["class_type"] == "TBSD_RenderViews":
            node["inputs"] |= {"n_views": 8, "size": 64}
    return found, optimizer


def offered(server: Server) -> list[dict]:
    return server.request("/tbsd/unfinished")["runs"]


def folder(server: Server, run: str) -> Path:
    return server.base / "output" / "tbsd" / "runs" / run


def has_ended(server: Server, run: str) -> bool:
    """Whether the graph of a run came to its end."""
    about = folder(server, run) / "about.json"
    return about.exists() and json.loads(about.read_text(encoding="utf-8"))["graph"]


def wait_for_steps(server: Server, known: set[str], steps: int = 1) -> str:
    """The id of a run that was not known and has done so many steps."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        for run in server.request("/tbsd/runs")["runs"]:
            if run["run"] not in known and server.request(f"/tbsd/runs/{run['run']}")["step"] >= steps:
                return run["run"]
        time.sleep(0.05)
    raise SystemExit(f"No run began:\n{server.log_tail()}")


def files(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.suffix == ".safetensors"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill ComfyUI at random moments and continue the run.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI (make comfyui).")
    draw = random.Random(arguments.seed)
    prompt, optimizer = graph()
    counts = dict.fromkeys(("offered", "after the run", "nothing to offer", "differ", "destroyed"), 0)
    with tempfile.TemporaryDirectory() as base, started(comfyui, Path(base) / "comfy") as server:
        start = time.monotonic()
        server.run(prompt)
        (whole,) = (run["run"] for run in server.request("/tbsd/runs")["runs"])
        expected, seconds = read_newest(folder(server, whole) / NEWEST), time.monotonic() - start
        server.kill()  # so that nothing is served from its cache
        for k in range(arguments.kills):
            server.start()
            known = {run["run"] for run in server.request("/tbsd/runs")["runs"]}
            server.queue(prompt)
            run = wait_for_steps(server, known)
            moment = draw.uniform(0, 1.1 * seconds)
            time.sleep(moment)
            server.kill()
            server.start()
            found = [entry for entry in offered(server) if entry["run"] == run]
            if not found:  # the graph had ended, or no state was written yet
                counts["nothing to offer"] += 1
                print(f"kill {k + 1} after {moment:.1f} s: {'ended' if has_ended(server, run) else 'no state yet'}")
                server.kill()
                continue
            counts["offered"] += 1
            counts["after the run"] += found[0]["step"] == STEPS
            before = files(folder(server, run))
            anew = server.queue(prompt)
            wait_for_steps(server, {r["run"] for r in server.request("/tbsd/runs")["runs"]})
            server.request("/interrupt", {})
            server.wait(anew)
            counts["destroyed"] += files(folder(server, run)) != before
            again = copy.deepcopy(prompt)
            again[optimizer]["inputs"]["continue_run"] = run
            server.run(again)
            last = server.request("/tbsd/runs")["runs"][-1]["run"]
            counts["differ"] += not equal_runs(read_newest(folder(server, last) / NEWEST), expected)
            print(f"kill {k + 1} after {moment:.1f} s, at step {found[0]['step']}: {counts}", flush=True)
            server.kill()
        server.start()
    print(f"{arguments.kills} kills: {counts}")
    raise SystemExit(bool(counts["differ"] or counts["destroyed"]))


if __name__ == "__main__":
    main()
