"""The optimisation loop and what surrounds it: configuration, checkpoints, curves.

The loop knows only protocols; a new method, scene or prior needs no change here.
"""

from .adapter import AdapterState, create_adapter
from .checkpoint import load_checkpoint, read_config, save_checkpoint
from .config import OptimConfig
from .loop import OptimState, StepRecord, optimize, predict_and_guide
from .records import Curves

__all__ = [
    "AdapterState",
    "Curves",
    "OptimConfig",
    "OptimState",
    "StepRecord",
    "create_adapter",
    "load_checkpoint",
    "optimize",
    "predict_and_guide",
    "read_config",
    "save_checkpoint",
]
