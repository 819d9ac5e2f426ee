"""Compiled code that reads foreign data, in a process of its own.

A segmentation fault there ends neither the host nor the run, a long call there does not hold the host's interpreter
lock, and it can be stopped at any moment. To add a task: write a function in a module that imports neither torch nor
the host, and name it in tasks.TASKS.
"""

from __future__ import annotations

from .process import Limits, NativeFailure, run_native

__all__ = ["Limits", "NativeFailure", "run_native"]
