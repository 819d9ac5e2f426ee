"""Measures of a result: image statistics, views, geometry, CLIP, and agreement with the small world's ground truth."""

from .clip_score import clip_score, r_precision
from .geometry import occupancy_iou
from .image_stats import image_statistics
from .multiview import view_errors, view_repetition
from .small_world import evaluate_images, mask_iou

__all__ = [
    "clip_score",
    "evaluate_images",
    "image_statistics",
    "mask_iou",
    "occupancy_iou",
    "r_precision",
    "view_errors",
    "view_repetition",
]
