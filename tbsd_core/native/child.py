"""The child process. It is run as a script by its path, for the pack has no name by which it could be imported.

It reads requests from its standard input until that is closed, which also happens when the parent dies.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRESS_SECONDS = 0.05  # between two messages about progress
GRACE = 5.0  # seconds after which a call that the parent should have stopped ends itself; the parent may be gone


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent, which decides
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # output of libraries must not come between the replies
    faulthandler.enable()
    sys.path[:] = [*sys.path[1:], *(p for p in json.loads(sys.argv[1]) if p not in sys.path)]
    if hasattr(os, "nice"):
        os.nice(5)  # the host's server answers first
    bare_package("native")
    wire = importlib.import_module("tbsd_core.native.wire")
    tasks = importlib.import_module("tbsd_core.native.tasks").TASKS
    wire.write_message(replies, {"ready": True, "bounds_memory": sys.platform == "linux"})
    waiting: queue.Queue[dict] = queue.Queue()

    def listen() -> None:
        try:
            while True:
                waiting.put(wire.read_message(requests))
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = waiting.get()
        wire.write_message(replies, answer(tasks[request["task"]], request, lambda m: wire.write_message(replies, m)))


def answer(place: str, request: dict, send) -> dict:
    """The result of a task, or its error."""
    last = 0.0

    def on_progress(part: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            send({"progress": float(part)})

    faulthandler.dump_traceback_later(request["seconds"] + GRACE, exit=True)
    unbounded = bound_memory(request["bytes"])
    try:
        module, function = place.split(":")
        bare_package(module.rpartition(".")[0])
        run = getattr(importlib.import_module(f"tbsd_core.{module}"), function)
        return {"result": run(on_progress, **request["inputs"])}
    except MemoryError:
        return {"error": "MemoryError", "text": ""}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
    finally:
        unbounded()
        faulthandler.cancel_dump_traceback_later()


def bare_package(name: str) -> None:
    """Make tbsd_core and a package below it importable without running their __init__.py, which imports torch."""
    parts = name.split(".")
    for depth in range(len(parts) + 1):
        package = types.ModuleType(".".join(["tbsd_core", *parts[:depth]]))
        package.__path__ = [str(ROOT.joinpath(*parts[:depth]))]
        sys.modules.setdefault(package.__name__, package)


def bound_memory(n_bytes: int):
    """Limit this process to so much more memory than it has; returns a function that lifts the limit. Linux only: other
    systems lack the limit, or ignore it."""
    if sys.platform != "linux":
        return lambda: None
    import resource

    # address space is not a measure: threads reserve gigabytes that they never use
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    most = used + n_bytes if before[1] == resource.RLIM_INFINITY else min(used + n_bytes, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, before)


if __name__ == "__main__":
    main()
