"""The cost of an open panel to a run: `python -m benchmarks.panel_cost [--steps 300] [--rounds 5]`.

Text to image on the demo models on a real ComfyUI server, each run with another seed, in turn: no
browser; a browser on an empty graph; a browser on the graph with its panel. The server measures the times of the runs
alone. Browser and server share this machine, so the second case shows how much of the third is the browser and not the
panel. Needs the development requirements.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.hosts import ROOT, find_comfyui
from tests.servers import Server, started
from tests.web.conftest import FLAGS, READY, find_chromium

CASES = ("no browser", "browser, empty graph", "browser with the panel")


def seconds_of_run(server: Server, prompt: dict, optimizer: str, steps: int, seed: int) -> float:
    prompt = copy.deepcopy(prompt)
    prompt[optimizer]["inputs"].update(steps=steps, seed=seed)
    server.run(prompt)
    run = [r for r in server.request("/tbsd/runs")["runs"] if r["node"] == optimizer][-1]
    state = server.request(f"/tbsd/runs/{run['run']}")
    assert state["status"] == "done" and state["step"] == steps
    return state["elapsed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    comfyui, chromium = find_comfyui(), find_chromium()
    if comfyui is None or chromium is None:
        raise SystemExit("This needs a ComfyUI (make comfyui) and a Chromium (CHROMIUM=path).")
    name = "Text to image"
    graph = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = json.loads((ROOT / "tests" / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    (optimizer,) = (k for k, v in prompt.items() if v["class_type"] == "TBSD_OptimizeImage")
    times: dict[str, list[float]] = {case: [] for case in CASES}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(comfyui, Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        seconds_of_run(server, prompt, optimizer, 20, 10_000)  # loads the models
        for k in range(arguments.rounds):
            for case in CASES[k % 3 :] + CASES[: k % 3]:  # no case is always the first
                browser = None
                if case != CASES[0]:
                    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                    page = browser.new_page(viewport={"width": 1500, "height": 950})
                    page.goto(server.url)
                    page.wait_for_function(READY)
                    shown = graph if case == CASES[2] else {**graph, "nodes": [], "links": [], "groups": []}
                    page.evaluate("(graph) => app.loadGraphData(graph)", shown)
                    page.wait_for_timeout(2000)
                seed = 3 * k + CASES.index(case)  # ComfyUI answers a graph that it knows from its cache
                seconds = seconds_of_run(server, prompt, optimizer, arguments.steps, seed)
                if case == CASES[2]:
                    headline = page.locator(".tbsd-headline").inner_text()
                    assert headline.startswith("Done"), headline
                if browser is not None:
                    browser.close()
                times[case].append(seconds)
                print(f"round {k + 1}, {case}: {seconds:.1f} s", flush=True)
    for case in CASES:
        ratios = [a / b for a, b in zip(times[case], times[CASES[0]], strict=True)]
        print(
            f"{case}: median {statistics.median(times[case]):.1f} s for {arguments.steps} steps, "
            f"ratio to no browser {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
