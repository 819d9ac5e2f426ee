"""Measures of a result: image statistics, geometry, and agreement with the small world's ground truth."""

from .appearance import describe_images
from .geometry import occupancy_iou
from .small_world import evaluate_images

__all__ = ["describe_images", "evaluate_images", "occupancy_iou"]
