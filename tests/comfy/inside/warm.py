"""A process that has imported ComfyUI and the pack, and runs each script that is named to it in a fork of itself:
imports take longer than most scripts. A script finds what a process of its own would.

Reads a JSON object per line: the script, its arguments, and the files for what it prints. Answers with its exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
import traceback

from pack import load_pack

load = load_pack()
for name in ("comfy.sd", "comfy.sample", "comfy.controlnet", "comfy_api.latest"):
    importlib.import_module(name)
load("nodes")
answers, sys.stdin = os.fdopen(os.dup(1), "w"), open(os.devnull)
orders = os.fdopen(os.dup(0))


def run(script: str, arguments: list[str], out: str, err: str) -> int:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


gc.freeze()
answers.write("ready\n")
answers.flush()
for line in orders:
    child = os.fork()
    if child == 0:
        os._exit(run(**json.loads(line)))
    answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
    answers.flush()
