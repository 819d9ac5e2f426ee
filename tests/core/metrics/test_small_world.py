from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.metrics import evaluate_images, mask_iou
from tbsd_pack.tbsd_core.priors.small_world.degrade import degrade
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras

NAMES = {
    "identity_shape",
    "identity_material",
    "patch_distance",
    "patch_coverage",
    "saturation_ratio",
    "silhouette_iou",
    "high_frequency_ratio",
}
CAMERAS = view_cameras(torch.tensor([20.0, 170.0]), torch.tensor([15.0, 40.0]))


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    return render_truth("house", "wooden", CAMERAS).images


def test_the_truth_seen_from_known_cameras_is_ideal(truth):
    metrics = evaluate_images(truth, "house", "wooden", CAMERAS)
    assert set(metrics) == NAMES
    assert metrics["identity_shape"] > 0.99 and metrics["identity_material"] > 0.99
    assert metrics["patch_distance"] < 0.01 and metrics["silhouette_iou"] > 0.9
    assert abs(metrics["saturation_ratio"] - 1) < 1e-4 and abs(metrics["high_frequency_ratio"] - 1) < 1e-4


def test_the_truth_without_cameras_is_nearly_ideal(truth):
    metrics = evaluate_images(truth[:1], "house", "wooden")
    assert set(metrics) == NAMES
    assert metrics["identity_shape"] > 0.95 and metrics["identity_material"] > 0.95
    assert metrics["patch_distance"] < 0.12 and metrics["silhouette_iou"] > 0.85
    assert abs(metrics["saturation_ratio"] - 1) < 0.3 and abs(metrics["high_frequency_ratio"] - 1) < 0.35


def test_faults_move_the_measure_that_they_concern(truth):
    generator = torch.Generator().manual_seed(0)
    blurry, vivid = (degrade(truth, (name,), 1.0, generator) for name in ("blurry", "oversaturated"))
    assert evaluate_images(blurry, "house", "wooden", CAMERAS)["high_frequency_ratio"] < 0.5
    assert evaluate_images(vivid, "house", "wooden", CAMERAS)["saturation_ratio"] > 1.1


def test_another_object_is_not_taken_for_the_right_one(truth):
    metrics = evaluate_images(truth, "cube", "brick", CAMERAS)
    assert metrics["identity_shape"] < 0.01 and metrics["identity_material"] < 0.01
    assert metrics["patch_distance"] > 0.1 and metrics["silhouette_iou"] < 0.8


def test_the_outline_by_opacity_is_exact_where_colour_finds_less():
    seen = render_truth("sphere", "striped", CAMERAS)
    assert evaluate_images(seen.images, "sphere", "striped", CAMERAS)["silhouette_iou"] < 0.95
    assert mask_iou(seen.mask, "sphere", "striped", CAMERAS) == 1
    half = seen.mask.clone()
    half[..., : half.shape[-1] // 2] = 0
    assert 0.4 < mask_iou(half, "sphere", "striped", CAMERAS) < 0.6
    assert mask_iou(seen.mask, "torus", "striped", CAMERAS) < 0.8
