"""A run, written once: from a configuration to a scene, and to the one file that stores it.

Everything else watches: the command line, studies, benchmarks and the nodes make an Experiment and look at its steps.
"""

from .autosave import Autosave
from .check import check_config
from .config import ExperimentConfig, MeshInput, RegionInput, config_from_plain, is_demo, plain_config
from .cost import evaluations_per_view, matched_steps
from .defaults import default_config, model_shape, with_native_views, with_preset
from .distilled import distilled_warning
from .duration import Duration, Pace
from .experiment import Experiment, resumed, stored_config
from .file import NEWEST, Stored, StoredRun, load_scene, read_file, read_newest, save_scene, write_file
from .native import size_warning
from .needs import Needs
from .plan import Fit, Plan, fitted, plan_of
from .results import Account, config_from_report, evaluate, pictures, rendered, versions, write_results
from .run import run, take_part
from .start import make_scene, read_mesh, read_prior

__all__ = [
    "Account",
    "NEWEST",
    "Autosave",
    "Duration",
    "Experiment",
    "ExperimentConfig",
    "Fit",
    "MeshInput",
    "Needs",
    "Pace",
    "Plan",
    "RegionInput",
    "Stored",
    "StoredRun",
    "check_config",
    "config_from_plain",
    "config_from_report",
    "default_config",
    "distilled_warning",
    "evaluate",
    "evaluations_per_view",
    "fitted",
    "is_demo",
    "load_scene",
    "make_scene",
    "matched_steps",
    "model_shape",
    "pictures",
    "plain_config",
    "plan_of",
    "read_file",
    "read_mesh",
    "read_newest",
    "read_prior",
    "rendered",
    "resumed",
    "run",
    "save_scene",
    "size_warning",
    "stored_config",
    "take_part",
    "versions",
    "with_native_views",
    "with_preset",
    "write_file",
    "write_results",
]
