"""The optimisation loop, and its configuration, state and records.

The loop knows only protocols; a new method, scene or prior needs no change here.
"""

from .adapter import create_adapter
from .config import OptimConfig
from .guide import Batch, predict_and_guide
from .loop import optimize
from .predictor import Predictor
from .records import Backlog, Curves, StepRecord
from .reference import Reference, ReferenceConfig, framed
from .state import OptimState
from .step import Distillation
from .watchdog import Watchdog, not_finite

__all__ = [
    "Backlog",
    "Batch",
    "Curves",
    "Distillation",
    "OptimConfig",
    "OptimState",
    "Predictor",
    "Reference",
    "ReferenceConfig",
    "StepRecord",
    "Watchdog",
    "create_adapter",
    "framed",
    "not_finite",
    "optimize",
    "predict_and_guide",
]
