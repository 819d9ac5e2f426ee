"""The child process is a real one; what it is asked to do are the pack's own tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from tbsd_pack.tbsd_core.native import Limits, NativeFailure, process, run_native
from tbsd_pack.tbsd_core.native.tasks import TASKS

SMALL = {"known": np.eye(8, dtype=bool)}
LARGE = {"known": np.eye(3000, dtype=bool)}  # some seconds


def child_ids() -> list[int]:
    return [child.process.pid for child in process._children]


def test_one_child_is_kept_and_reused():
    assert run_native("nearest", SMALL)["index"].shape == (8, 8)
    before = child_ids()
    assert run_native("nearest", SMALL)["index"][0, 1] in (0, 9)
    assert child_ids() == before and len(before) == 1


@pytest.mark.parametrize(
    "limits, kill, reason",
    [
        (Limits(), True, "crashed"),
        (Limits(seconds=0.3), False, "time"),
        (Limits(bytes=1 << 20), False, "memory"),
    ],
)
def test_a_task_that_fails_says_why_and_the_next_one_works(limits, kill, reason):
    def on_wait(progress):
        if kill and child_ids():
            os.kill(child_ids()[0], signal.SIGSEGV)

    run_native("nearest", SMALL)  # there is a child that has started
    with pytest.raises(NativeFailure) as caught:
        run_native("nearest", LARGE, on_wait=on_wait, limits=limits)
    assert caught.value.reason == reason and "nearest" in str(caught.value)
    assert len(run_native("nearest", SMALL)) == 1


def test_memory_is_watched_where_the_system_has_no_limit(monkeypatch):
    pytest.importorskip("psutil")
    run_native("nearest", SMALL)
    monkeypatch.setattr(process._idle[0], "bounds_memory", False)
    with pytest.raises(NativeFailure) as caught:
        run_native("nearest", LARGE, limits=Limits(bytes=1 << 20))
    assert caught.value.reason == "memory"


def test_cancelling_ends_the_child_within_a_second():
    run_native("nearest", SMALL)
    before, start = child_ids(), []

    def on_wait(progress):
        start.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_native("nearest", LARGE, on_wait=on_wait)
    assert time.monotonic() - start[0] < 1 and child_ids() == []
    with pytest.raises(ProcessLookupError):
        os.kill(before[0], 0)


def test_errors_of_a_task_keep_their_kind_and_the_child():
    with pytest.raises(TypeError, match="unexpected keyword"):
        run_native("nearest", {"unknown": 1})
    before = child_ids()
    with pytest.raises(ValueError, match="no task 'shell'"):
        run_native("shell", {})
    with pytest.raises(RuntimeError, match="AttributeError: .*astype"):
        run_native("nearest", {"known": [[True]]})
    assert child_ids() == before


def test_two_threads_at_once():
    results = {}

    def work(k):
        known = np.zeros((400, 400), dtype=bool)
        known[k, k] = True
        results[k] = run_native("nearest", {"known": known})["index"]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all((results[k] == 401 * k).all() for k in range(3)) and len(child_ids()) == 1


def test_every_task_is_there_and_keeps_torch_and_the_host_out(tmp_path):
    """In a fresh interpreter, as the child imports them."""
    code = (
        "import importlib, runpy, sys; child = runpy.run_path(sys.argv[1])\n"
        "for place in sys.argv[2:]:\n"
        "    module, function = place.split(':'); child['bare_package'](module.rpartition('.')[0])\n"
        "    assert callable(getattr(importlib.import_module('tbsd_core.' + module), function))\n"
        "assert not {'torch', 'comfy', 'nodes', 'scipy'} & set(sys.modules)"
    )
    script = os.path.join(os.path.dirname(process.__file__), "child.py")
    done = subprocess.run([sys.executable, "-c", code, script, *TASKS.values()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_child_ends_with_its_parent(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(process.__file__)))
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import numpy as np\n"
        "from tbsd_core.native import process, run_native\n"
        "run_native('nearest', {'known': np.eye(3, dtype=bool)})\n"
        "print(next(iter(process._children)).process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True)
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{int(done.stdout)}") and time.monotonic() < end:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{int(done.stdout)}")


def test_an_interpreter_that_is_none_is_named(monkeypatch):
    monkeypatch.setattr(process, "_idle", [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NativeFailure, match="/bin/false ended before it had begun") as caught:
        run_native("nearest", SMALL)
    assert caught.value.reason == "start"
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(NativeFailure, match="a Python of its own"):
        run_native("nearest", SMALL)


def test_limits_must_be_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        Limits(seconds=0)
