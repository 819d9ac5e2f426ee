"""Samples with textures: the truth, and what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from tbsd_pack.tbsd_core.sample_textures import ERASED, named_sample, textured_sample


def test_a_sample_has_the_colours_of_its_material_and_the_faults_take_what_they_say():
    whole, front, blurry = (textured_sample("cube", "brick", fault, 24) for fault in ("none", "front only", "blurry"))
    assert whole.texture.shape == (256, 256, 3) and whole.texture.std() > 0.1
    grey = (front.texture == ERASED).all(-1)
    assert 0.5 < grey.mean() < 0.95  # a cube's front, seen from a little above, with its top
    assert np.array_equal(front.texture[~grey], whole.texture[~grey])
    detail = [np.abs(np.diff(mesh.texture, axis=0)).mean() for mesh in (whole, blurry)]
    assert detail[1] < 0.6 * detail[0]
    assert np.abs(blurry.texture.mean() - whole.texture.mean()) < 0.02


def test_words_name_samples():
    assert named_sample("cube").texture is None
    assert named_sample("brick cube, blurry").texture is not None
    for name, message in (
        ("", "Unknown sample"),
        ("golden cube", "Unknown material 'golden'"),
        ("brick cube, old", "Unknown fault 'old'"),
    ):
        with pytest.raises(ValueError, match=message):
            named_sample(name)
