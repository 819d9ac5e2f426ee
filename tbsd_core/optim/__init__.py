"""The optimisation loop and what surrounds it: configuration, checkpoints, curves.

The loop knows only protocols; a new method, scene or prior needs no change here.
"""

from .adapter import AdapterState, create_adapter
from .autosave import AUTOSAVE_SECONDS, Autosave
from .checkpoint import load_checkpoint, read_checkpoint, read_config, save_checkpoint
from .config import OptimConfig
from .loop import OptimState, optimize, predict_and_guide
from .records import Backlog, Curves, StepRecord
from .snapshot import Snapshot, go_on, read_snapshot, take_snapshot
from .watchdog import Watchdog, not_finite

__all__ = [
    "AUTOSAVE_SECONDS",
    "AdapterState",
    "Autosave",
    "Backlog",
    "Curves",
    "OptimConfig",
    "OptimState",
    "Snapshot",
    "StepRecord",
    "Watchdog",
    "create_adapter",
    "go_on",
    "load_checkpoint",
    "not_finite",
    "optimize",
    "predict_and_guide",
    "read_checkpoint",
    "read_config",
    "read_snapshot",
    "save_checkpoint",
    "take_snapshot",
]
