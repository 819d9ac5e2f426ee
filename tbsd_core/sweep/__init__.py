"""Many prompts on many machines: cells that finish one by one, wherever they run.

A `Pool` runs jobs (processes of this machine, a Ray cluster, ComfyUI servers) and hands back their files as bytes, so
that no machine needs a disk in common with another. The runner alone writes, skips, tries again and gives up.
"""

from .jobs import Job, job_folder
from .pool import Outcome, Pool
from .prompts import PromptLine, read_prompts
from .report import write_report
from .runner import run_sweep

__all__ = ["Job", "Outcome", "Pool", "PromptLine", "job_folder", "read_prompts", "run_sweep", "write_report"]
