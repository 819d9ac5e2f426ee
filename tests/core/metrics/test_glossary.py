from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.analysis.pictures import picture_statistics
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.metrics import evaluate_images, image_statistics, view_errors
from tbsd_pack.tbsd_core.metrics.glossary import GLOSSARY

# that a caller names: three numbers without a name of their own, ratios as distances from 1, and what a CLIP says
NAMED = {"view_repetition", "mask_iou", "occupancy_iou", "saturation_error", "high_frequency_error"}
NAMED |= {"clip_score", "clip_r_precision"}


def test_every_measure_is_explained_and_nothing_else():
    views, turn = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), orbit(4)
    returned = evaluate_images(views, "house", "brick", turn).keys() | evaluate_images(views[:1], "house", "brick")
    returned |= view_errors(views, "house", "brick", turn).keys() | image_statistics(views).keys()
    returned |= picture_statistics(views[0]).keys()
    assert returned | NAMED == GLOSSARY.keys()


def test_meanings_are_short_distinct_and_know_their_direction():
    assert len({meaning.label for meaning in GLOSSARY.values()}) == len(GLOSSARY)
    for name, (label, sentence, better) in GLOSSARY.items():
        assert 0 < len(label) <= 25 and label == label.strip() and "_" not in label, name
        assert len(sentence) <= 100 and not sentence.endswith("."), name
        assert better in ("higher", "lower", ""), name
