"""`python -m benchmarks.gpu_check`: all steps, about 8 minutes on a fast card; exits with 1 if a case failed.

With --checkpoint FILE instead: pictures, curves and times of that checkpoint, see checkpoint.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

from tbsd_core.priors.small_world.learned import WEIGHTS

from .cases import Cases, described
from .checkpoint import DEMO, KINDS, Subject
from .checkpoint import report as report_on
from .checkpoint_files import Files, told_of_checkpoint
from .host import find_host, told_of
from .report import ROOT, Report, anonymous, environment
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
    parser.add_argument("--out", type=Path, help="folder of the results; benchmarks/results, or output/checkpoint-NAME")
    what = "a .safetensors checkpoint, a pipeline folder, or demo: report what it gives, in place of the steps"
    parser.add_argument("--checkpoint", metavar="FILE", help=what)
    parser.add_argument("--time", type=float, default=30.0, metavar="MINUTES", help="of that report, at most")
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies the time that each step may take")
    arguments = parser.parse_args()
    reason = no_device() if arguments.device == "cuda" else None
    if reason:
        print(f"No CUDA device. {reason}", file=sys.stderr)
        return 1
    if arguments.checkpoint is not None:
        return report_checkpoint(arguments)
    host = find_host()
    out = arguments.out or ROOT / "benchmarks" / "results"
    folders = {ROOT: "PACK"} | ({} if host is None else {host.path: "COMFYUI", Path(host.python).parents[1]: "PYTHON"})
    report = Report(out, environment(arguments.device, arguments.quick, told_of(host)), folders)
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
    print(f"Written to {out}." + (f" Failed: {', '.join(failed)}." if failed else ""))
    return 1 if failed else 0


def report_checkpoint(arguments: argparse.Namespace) -> int:
    """0 if no run failed, 130 if it was interrupted; what is done is kept."""
    source = arguments.checkpoint
    path = WEIGHTS if source == DEMO else Path(source).expanduser()
    subject = Subject(DEMO if source == DEMO else str(path), arguments.device, arguments.quick)
    out = arguments.out or ROOT / "output" / f"checkpoint-{Path(subject.name).stem}"
    folders = {ROOT: "PACK", path.parent.absolute(): "CHECKPOINTS", path.parent: "CHECKPOINTS"}
    try:
        told = {"name": DEMO} if source == DEMO else told_of_checkpoint(path)
        about = environment(arguments.device, arguments.quick, {})
        columns = [kind.title for kind in KINDS]
        files = Files(out, about, told, subject.prompts, columns, lambda text: anonymous(text, folders))
        ok = report_on(subject, files, 60 * arguments.time)
    except KeyboardInterrupt:
        print(f"Interrupted; what is done is in {out}.", file=sys.stderr)
        return 130
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Written to {out}: attach its files to an issue." + ("" if ok else " Some runs failed."))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
