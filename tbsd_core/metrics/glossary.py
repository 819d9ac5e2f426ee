"""The meaning of each measure of a result, once for charts, reports and tables."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Meaning(NamedTuple):
    label: str  # a few words, as a chart's axis has them
    sentence: str  # with the value of a perfect or of a neutral result
    better: Literal["higher", "lower", ""] = ""  # "" if neither exists, or if only results of one prompt compare


GLOSSARY: dict[str, Meaning] = {
    # against the true object, see small_world.py
    "identity_shape": Meaning("right object", "probability that it is the prompt's object; 1 is certain", "higher"),
    "identity_material": Meaning("right material", "probability that it is of that material; 1 is certain", "higher"),
    "patch_distance": Meaning("texture distance", "distance of its texture to the true one; 0 is perfect", "lower"),
    "patch_coverage": Meaning("missing texture", "distance of the true texture to what it shows; 0 is all", "lower"),
    "silhouette_iou": Meaning("outline overlap", "overlap with the true outline; 1 is perfect", "higher"),
    "mask_iou": Meaning("mask overlap", "overlap of its opacity with the true outline; 1 is perfect", "higher"),
    "saturation_ratio": Meaning("saturation / truth", "relative to the truth; 1 is right, more is over-saturated"),
    "high_frequency_ratio": Meaning("detail / truth", "relative to the truth; 1 is right, less is over-smooth"),
    "saturation_error": Meaning("saturation error", "distance of saturation_ratio from 1", "lower"),
    "high_frequency_error": Meaning("detail error", "distance of high_frequency_ratio from 1", "lower"),
    # of a volume, see geometry.py
    "occupancy_iou": Meaning("solid overlap", "overlap with the true solid; 1 is perfect", "higher"),
    # of a turn, see multiview.py
    "view_error": Meaning("view error", "degrees by which views seem to be from another side; 0 is perfect", "lower"),
    "janus": Meaning("Janus", "share of sides and back that show the front instead; 0 is perfect", "lower"),
    "view_repetition": Meaning("view repetition", "near 0.5 no view comes back on another side, at 1 all (Janus)"),
    # of pictures alone, see image_stats.py
    "foreground": Meaning("object's share of picture", "0 to 1"),
    "saturation": Meaning("saturation", "mean saturation of the object, 0 to 1"),
    "fine_detail": Meaning("fine detail", "share of the object's variance that is fine detail, 0 to 1"),
    "colourfulness": Meaning("colourfulness", "of the whole picture: 0 is grey, 33 moderate, 82 high"),
    "contrast": Meaning("contrast", "spread of the brightness, 0 to 0.5"),
    "sharpness": Meaning("sharpness", "spread of the brightness's Laplacian; noise counts as sharp"),
    # with a CLIP, see clip_score.py
    "clip_score": Meaning("CLIP score", "100 cos(picture, prompt); only numbers of one CLIP model compare", "higher"),
    "clip_r_precision": Meaning("R-precision", "share of pictures whose own prompt is nearest among others", "higher"),
}


def label_of(name: str) -> str:
    """A few words for a measure, also for one that another program added."""
    return GLOSSARY[name].label if name in GLOSSARY else name.replace("_", " ")
