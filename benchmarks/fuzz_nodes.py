"""Hostile workflows: `python -m benchmarks.fuzz_nodes [--count 1000] [--seed 0]`.

The shipped workflows with small sizes, one to three of their inputs replaced by values of other types, out of range,
hostile names or wrong links, are queued on a real ComfyUI server. Each must be refused before it runs, or end well, or
end with an error that says something; the server must answer afterwards, and no file may appear outside its output,
temp and user folders. Runs that take longer than a few seconds are cancelled, which must work, too.
Needs ComfyUI (make comfyui) and the development requirements.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import time
import urllib.error
from collections import Counter
from pathlib import Path

from tests.hosts import ROOT, find_comfyui
from tests.servers import RunError, Server, started, templates

FAST = {"steps": 1, "views_per_step": 1, "n_views": 2, "detail": 9, "n_samples": 4, "size": 16, "resolution": 16}
FAST |= {"faces": 50, "texture_size": 64, "n_gaussians": 20}
VALUES = [None, True, "", " ", "nan", -1, 0, 1, 2**31, 2**63, -(2**70), 1e308, -1e-308, 0.5, [], {}, [[]], {"a": 1}]
VALUES += ["../../escaped", "/tmp/escaped", "..\\escaped", "C:\\escaped", "NUL", "a\u0000b", "\u202etxt", "."]
VALUES += ["\uff0e\uff0e/e", "%2e%2e/escaped", "~/escaped", "x" * 100_000, "a/" * 500 + "b", "\U0001f3e0", "${HOME}"]
VALUES += [["1", 0], ["1", 99], ["999", 0], ["1", -1], ["1"], "a brick house", "a dragon", "1e5", "1,2,3", "0, 0.5"]
PATIENCE = 6  # seconds before a run is cancelled
ALLOWED = ("output", "temp", "user")  # where a server may write


def base_graphs() -> list[dict]:
    """The shipped workflows, so small that a run takes a second."""
    twins = [ROOT / "tests" / "workflows" / f"{name}.json" for name in templates()]
    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in twins]
    for graph in graphs:
        for node in graph.values():
            node["inputs"].update({k: v for k, v in FAST.items() if k in node["inputs"]})
    return graphs


def hostile(graph: dict, draw: random.Random) -> tuple[dict, list[str]]:
    """A copy of a workflow with some inputs replaced, and which."""
    graph, changed = copy.deepcopy(graph), []
    ours = [k for k, node in graph.items() if node["class_type"].startswith("TBSD_") and node["inputs"]]
    for _ in range(draw.choice((1, 1, 2, 3))):
        node = graph[draw.choice(ours)]
        name = draw.choice(sorted(node["inputs"])) if node["inputs"] else "nothing"
        if draw.random() < 0.05:
            name = "unknown_input"
        if draw.random() < 0.05:
            node["inputs"].pop(name, None)
            changed.append(f"{node['class_type']}.{name} removed")
        else:
            value = draw.choice(VALUES)
            if name == "unknown_input" and isinstance(value, list):
                value = "x"  # a link of an input that no node has ends ComfyUI's own worker (seen in 0.3.64)
            node["inputs"][name] = value
            changed.append(f"{node['class_type']}.{name}={str(value)[:40]!r}")
    return graph, changed


def answer(server: Server, graph: dict) -> str:
    """How the server dealt with a workflow; FAILED and why where it did not."""
    try:
        prompt_id = server.queue(graph)
    except RunError as refused:
        errors = [error for node in refused.details["node_errors"].values() for error in node["errors"]]
        told = any(error.get("details") or error.get("message") for error in [*errors, refused.details["error"]])
        return "refused" if told else f"FAILED: refused without a word: {refused}"
    except urllib.error.HTTPError as error:
        return f"FAILED: HTTP {error.code}"
    end, entry = time.monotonic() + PATIENCE, None
    while entry is None and time.monotonic() < end:
        entry = server.history(prompt_id)
        time.sleep(0.02)
    if entry is None:
        server.request("/interrupt", {})
        entry = server.wait(prompt_id, 60)
        if any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"]):
            return "cancelled"
    if entry["status"]["status_str"] == "success":
        return "ran"
    said = dict(entry["status"]["messages"]).get("execution_error", {})
    kind, text = said.get("exception_type", ""), said.get("exception_message", "").strip()
    if kind not in ("ValueError", "RuntimeError", "FileNotFoundError", "ImportError") or len(text) < 12:
        where = (said.get("traceback") or ["?"])[-1].strip().replace("\n", " ")
        return f"FAILED: {kind}: {text} in {said.get('node_type')}: {where}"
    return "explained"


def strays(base: Path) -> set[Path]:
    """Files of the server's folder outside those that it may write to, and of ours."""
    inside = {p for p in base.rglob("*") if p.is_file() and p.relative_to(base).parts[0] not in ALLOWED}
    return inside | set(base.parent.glob("*")) | set(Path("/tmp").glob("*escaped*")) | set(ROOT.glob("*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="number of the first workflow")
    args = parser.parse_args()
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("This needs a ComfyUI: set COMFYUI_PATH, or make comfyui.")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "host"
        base.mkdir()
        with started(comfyui, base) as server:
            graphs, before, start = base_graphs(), strays(base), time.perf_counter()
            for number in range(args.seed, args.seed + args.count):
                draw = random.Random(number)
                graph, changed = hostile(draw.choice(graphs), draw)
                got = answer(server, graph)
                counts[got.split(":")[0]] += 1
                if got.startswith("FAILED"):
                    print(f"{number} {', '.join(changed)}: {got[:600]}", flush=True)
            server.request("/system_stats")
            new = sorted(strays(base) - before - {base / "server.log"})
        took = time.perf_counter() - start
    shown = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
    print(f"{shown}; {len(new)} files outside {[str(p) for p in new[:5]]}; {took:.0f} s; the server still answers")
    raise SystemExit(1 if counts["FAILED"] or new else 0)


if __name__ == "__main__":
    main()
