"""A study: many experiments under one rule. Settings that define a method travel with it.

It is a list of jobs. A `Pool` runs them (in this process, in several, on a Ray cluster, on ComfyUI servers) and hands
back their files as bytes, so that no machine needs a disk in common with another. The runner alone writes, skips, tries
again and gives up. Every job's folder is a run's folder.
"""

from .entry import Entry
from .inline import InlinePool
from .jobs import Job, Report, job_folder
from .labels import labels_of, told_apart, with_labels
from .plan import assigned, job_of, labelled, matched, of_cell
from .pool import Outcome, Pool, Task
from .processes import ProcessPool
from .prompts import PromptLine, read_prompts
from .runner import Reports, run_jobs
from .sheet import write_sheet
from .table import Row, job_row, markdown, summarize, table_row, write_csv, write_tables
from .views import montage, picture, read_views
from .watch import Failure, Host, StudyStep, made_to_fit, reason_of, watch

__all__ = [
    "Entry",
    "Failure",
    "Host",
    "InlinePool",
    "Job",
    "Outcome",
    "Pool",
    "ProcessPool",
    "PromptLine",
    "Report",
    "Reports",
    "Row",
    "StudyStep",
    "Task",
    "assigned",
    "job_folder",
    "job_of",
    "job_row",
    "labelled",
    "labels_of",
    "made_to_fit",
    "markdown",
    "matched",
    "montage",
    "of_cell",
    "picture",
    "read_prompts",
    "read_views",
    "reason_of",
    "run_jobs",
    "summarize",
    "table_row",
    "told_apart",
    "watch",
    "with_labels",
    "write_csv",
    "write_sheet",
    "write_tables",
]
