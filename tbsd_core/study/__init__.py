"""Lists of experiments that are looked at side by side: who runs them, and what tells them apart."""

from .entry import Entry
from .labels import labels_of, with_labels
from .watch import StudyStep, watch

__all__ = ["Entry", "StudyStep", "labels_of", "watch", "with_labels"]
