"""`python -m benchmarks.gpu_check`: all steps, about 8 minutes on a fast card; exits with 1 if a case failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

from .cases import Cases, described
from .host import find_host, told_of
from .report import ROOT, Report, environment
from .steps import STEPS


def no_device() -> str | None:
    """Why there is no CUDA device."""
    if torch.version.cuda is None:
        return (
            f"This torch ({torch.__version__}) is a build without CUDA. Set up an environment with one: "
            "make gpu-check VENV=.venv-cuda"
        )
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} was built for CUDA {torch.version.cuda} and finds no device: see nvidia-smi."
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, not how fast it is")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies the time that each step may take")
    arguments = parser.parse_args()
    reason = no_device() if arguments.device == "cuda" else None
    if reason:
        print(f"No CUDA device. {reason}", file=sys.stderr)
        return 1
    host = find_host()
    folders = {ROOT: "PACK"} | ({} if host is None else {host.path: "COMFYUI", Path(host.python).parents[1]: "PYTHON"})
    report = Report(arguments.out, environment(arguments.device, arguments.quick, told_of(host)), folders)
    chosen = {name: step for name, step in STEPS.items() if not arguments.only or name in arguments.only}
    deadline = time.monotonic()
    for name, step in chosen.items():
        deadline = max(deadline, time.monotonic()) + 60 * arguments.patience * step.minutes
        print(f"{name}: {step.title}", flush=True)
        report.begin(name, step.title)
        start, ended = time.monotonic(), {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            try:
                step.run(Cases(report, name, arguments.device, arguments.quick, deadline, Path(scratch)))
            except Exception as error:  # what goes wrong between its cases ends this step alone
                ended = {"status": "failed", **described(error)}
                print(f"  failed: {ended['error']}", flush=True)
        report.end(name, time.monotonic() - start, **ended)
    failed = [name for name in chosen if report.data["steps"][name]["status"] == "failed"]
    print(f"Written to {arguments.out}." + (f" Failed: {', '.join(failed)}." if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
