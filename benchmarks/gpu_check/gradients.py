"""The pack's gradients through ComfyUI's models at full size, in every way in which the host keeps weights in memory.

Each mode is a process of the host's Python with the host's own flags (inside/memory_mode.py). A process that dies
takes the case it was at with it; a new one does the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.hosts import ComfyUI

from .cases import LATE, Cases
from .host import NONE, find_host
from .report import ROOT

SCRIPT = Path(__file__).parent / "inside" / "memory_mode.py"
NO_DYNAMIC = "--disable-dynamic-vram"  # unknown to hosts that have none
# "model dtype"; VAE files are float32, and computed in that dtype where the host would
ALL = (
    *("sd15 float16", "sd15 float32", "sd15 bfloat16", "sd15 float8_e4m3fn"),
    *("sdxl float16", "sd3 bfloat16"),
)
SOME = ("sd15 float32", "sdxl float16", "sd3 bfloat16")
QUICK = ("sd3 float32",)  # cut short
NEEDED_GIB = {"sd15": 12, "sdxl": 22, "sd3": 18}  # on the card, with the plain copy that is compared with
CASE_SECONDS = 150


@dataclass(frozen=True)
class Mode:
    flags: tuple[str, ...]
    cases: tuple[str, ...]
    is_dynamic: bool = False
    is_short: bool = False  # so little memory is left that weights are streamed


MODES: dict[str, Mode] = {
    "dynamic": Mode((), ALL, is_dynamic=True),
    "dynamic, short of memory": Mode((), SOME, is_dynamic=True, is_short=True),
    "normal": Mode((NO_DYNAMIC,), ALL),
    "lowvram": Mode((NO_DYNAMIC, "--lowvram"), SOME),
    "novram": Mode((NO_DYNAMIC, "--novram"), SOME),
    "highvram": Mode((NO_DYNAMIC, "--highvram"), SOME),
}


def run(cases: Cases) -> None:
    comfyui = find_host()
    for name, mode in MODES.items():
        reason = why_not(comfyui, name, mode, cases.device)
        if reason or comfyui is None:
            cases.add(name, "skipped", reason=reason)
            continue
        for_card = QUICK if cases.quick else mode.cases
        total = torch.cuda.get_device_properties(0).total_memory / 2**30 if cases.device == "cuda" else float("inf")
        small = [case for case in for_card if not cases.quick and NEEDED_GIB[case.split()[0]] > total]
        for case in small:
            need = NEEDED_GIB[case.split()[0]]
            cases.add(f"{name}: {case}", "skipped", reason=f"needs about {need} GiB, the device has {total:.1f}")
        in_processes(comfyui, name, mode, [case for case in for_card if case not in small], cases)


def why_not(comfyui: ComfyUI | None, name: str, mode: Mode, device: str) -> str:
    if comfyui is None:
        return NONE
    if device != "cuda" and name != "normal":
        return "on a CPU ComfyUI has one memory mode"
    if mode.is_dynamic and not (comfyui.path / "comfy" / "memory_management.py").is_file():
        return "this ComfyUI has no dynamic VRAM"
    return ""


def in_processes(comfyui: ComfyUI, name: str, mode: Mode, todo: list[str], cases: Cases) -> None:
    """Run the cases of a mode; each process goes on after the case at which the one before it ended."""
    known = NO_DYNAMIC in (comfyui.path / "comfy" / "cli_args.py").read_text(encoding="utf-8")
    flags = ["--cpu"] if cases.device != "cuda" else [f for f in mode.flags if known or f != NO_DYNAMIC]
    weights = cases.scratch / "weights"  # made once for all modes
    weights.mkdir(exist_ok=True)
    while todo and cases.seconds_left() > 0:
        folder = cases.scratch / f"{name.replace(' ', '_')}-{len(todo)}"
        folder.mkdir()
        request = {
            "comfyui": str(comfyui.path),
            "pack": str(ROOT),
            "flags": flags,
            "cases": todo,
            "dynamic": mode.is_dynamic,
            "short": mode.is_short,
            "quick": cases.quick,
            "folder": str(folder),
            "weights": str(weights),
        }
        environment = comfyui.environment(on_gpu=cases.device == "cuda")
        done, ending = followed([comfyui.python, str(SCRIPT), json.dumps(request)], environment, folder, name, cases)
        todo = todo[done:]
        if todo and ending["status"] == "failed":  # it ended at this one
            cases.add(f"{name}: {todo[0]}", **ending)
            todo = todo[1:]
    for case in todo:
        cases.add(f"{name}: {case}", "skipped", reason=LATE)


def followed(
    command: list[str], environment: dict[str, str], folder: Path, name: str, cases: Cases
) -> tuple[int, dict[str, Any]]:
    """Record what a process reports; returns how many cases that was, and what to say of the next one."""
    log, results = folder / "log", folder / "results"
    results.touch()
    done, since = 0, time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        while True:
            has_ended = process.poll() is not None  # asked before reading, so that nothing is missed
            lines = results.read_text(encoding="utf-8").split("\n")[:-1]
            for line in lines[done:]:
                entry = json.loads(line)
                cases.add(f"{name}: {entry.pop('case')}", **entry)
                since = time.monotonic()
            done = len(lines)
            if has_ended:
                tail = log.read_text(errors="replace").strip().splitlines()[-12:]
                error = f"its process ended with code {process.returncode}"
                return done, {"status": "failed", "error": error, "traceback": tail}
            if cases.seconds_left() <= 0 and done:
                return done, {"status": "skipped", "reason": LATE}
            if time.monotonic() - since > CASE_SECONDS:
                tail = log.read_text(errors="replace").strip().splitlines()[-12:]
                return done, {"status": "failed", "error": f"not done after {CASE_SECONDS} s", "traceback": tail}
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
