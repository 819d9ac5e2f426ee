"""The peak memory of a step against the plan: `python -m benchmarks.step_memory [--views 4 64] [--size 256]`.

Each run is a process of its own. Measured is its peak of resident memory, beyond its memory before the first step.
Linux only. --free bounds the memory that the plan may use, as if the machine had no more.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from tbsd_core.configuration import replaced
from tbsd_core.experiment import Experiment, default_config, plan_of, read_prior
from tbsd_core.memory import available_bytes, in_words


def measured(arguments: argparse.Namespace, views: int, size: int) -> dict:
    """In this process: the plan, and the peak of the steps beyond the memory before."""
    config = default_config("a brick house", arguments.scene, prior=arguments.prior, n_steps=arguments.steps, size=size)
    changes = {"optim.views_per_step": views, "optim.latent_until": 0.0}
    changes |= {name: json.loads(value) for name, value in (text.split("=", 1) for text in arguments.set)}
    for name, value in changes.items():
        config = replaced(config, name, value)
    experiment = Experiment(config, read_prior(config))
    free = available_bytes(torch.device("cpu"))
    plan = plan_of(experiment, int(arguments.free * 2**30) if arguments.free else free)
    if not arguments.whole:
        plan.apply(experiment)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    start = time.perf_counter()
    for _record in experiment.steps():
        pass
    seconds = (time.perf_counter() - start) / arguments.steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {
        "at_once": plan.at_once,
        "estimated": plan.fit.estimated,
        "view_chunk": 0 if arguments.whole else plan.fit.view_chunk,
        "text": plan.text,
        "peak": peak,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a step takes at its peak, against the plan.")
    parser.add_argument("--views", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--scene", default="nerf")
    parser.add_argument("--prior", default="learned")
    parser.add_argument("--free", type=float, default=0.0, help="GiB that the plan may use; 0: what the machine has")
    parser.add_argument("--whole", action="store_true", help="all views at once, whatever the plan says")
    parser.add_argument("--set", action="append", default=[], help="a setting, as scene.n_samples=16")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measured(arguments, arguments.views[0], arguments.size[0])))
        return
    print("| Views | Pixels | At once | Views at a time | Plan | Peak | Seconds a step |")
    print("|---" * 7 + "|")
    for size in arguments.size:
        for views in arguments.views:
            given = [sys.executable, "-m", "benchmarks.step_memory", *sys.argv[1:], "--here"]
            given += ["--views", str(views), "--size", str(size)]
            done = subprocess.run(given, capture_output=True, text=True)
            if done.returncode:
                print(f"| {views} | {size} | | | | {done.stderr.strip().splitlines()[-1]} | |", flush=True)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            numbers = [in_words(found["at_once"]), found["view_chunk"] or "all", in_words(found["estimated"])]
            numbers += [in_words(found["peak"]), f"{found['seconds']:.1f}"]
            print(f"| {views} | {size} | {' | '.join(map(str, numbers))} |", flush=True)
            if found["text"]:
                print(f"<!-- {found['text']} -->", flush=True)


if __name__ == "__main__":
    main()
