"""A step of every scene with every method on the pretend device: no device error, few waits, no more kernels.

The steps themselves fail where CUDA would refuse what they do.
"""

from __future__ import annotations

import pytest
import rehearsal_counts as counts
from tbsd_pack.tbsd_core.guidance import METHODS as ALL
from tbsd_pack.tbsd_core.scenes import ENCODINGS, SCENES

METHODS = [name for name, spec in ALL.items() if not spec.flow_only]  # the model is none


@pytest.fixture(scope="module")
def asked(request) -> list[str]:
    """Scenes, and scenes with a method: with --slow each with each, else each method and each scene once or more."""
    scenes = [*SCENES.keys() - {"nerf"}, *(f"nerf {name}" for name in ENCODINGS)]
    if request.config.option.slow:
        return scenes
    own = [f"{scene},{method}" for scene in scenes for method in ("tbsd", "vsd")]
    return ["image", *own, *(f"nerf dense,{method}" for method in METHODS if METHODS.index(method) % 2)]


@pytest.fixture(scope="module")
def found(asked) -> dict[str, dict[str, int]]:
    return counts.measure(*asked)


def test_every_scene_and_method_is_there(asked, found):
    scenes = {*SCENES, *(f"nerf {name}" for name in ENCODINGS)} - {"nerf"}
    assert set(counts.WAITS) <= scenes
    cells = {f"{scene} {method}" for scene in scenes for method in METHODS}
    assert {cell for cell in cells if cell in {name.replace(",", " ") for name in asked}} <= set(found) <= cells
    assert {cell.rpartition(" ")[0] for cell in found} == scenes
    assert {cell.rpartition(" ")[2] for cell in found} == set(METHODS)


@pytest.mark.parametrize("scene", dict.fromkeys([*counts.WAITS, *sorted(SCENES.keys() - {"nerf"})]))
def test_a_step_seldom_waits_for_the_device(found, scene):
    cells = [f"{scene} {method}" for method in METHODS if f"{scene} {method}" in found]
    waits = {cell: found[cell]["waits"] for cell in cells}
    assert not {key: n for key, n in waits.items() if n > counts.WAITS.get(scene, counts.MOST_WAITS)}
    late = {cell: found[cell]["late_waits"] for cell in cells}
    assert not {key: n for key, n in late.items() if n > counts.LATE_WAITS}


def test_no_count_rises(found):
    versions, table = counts.read()
    if versions != counts.versions():
        pytest.skip(f"the table is of {versions}, and these are {counts.versions()}")
    risen = counts.risen(found, table)
    assert not risen, (
        "\n".join(risen) + "\nLook where with `python tests/rehearsal/inside/steps.py --places SCENE,METHOD`. "
        "If it has to be: `python -m tests.rehearsal.counts --write --raise`."
    )


def test_a_higher_count_is_told_and_a_lower_one_is_not():
    row = {"kernels": 10, "waits": 1, "uploads": 2}
    assert counts.risen({"image sds": row}, {"image sds": row}) == []
    assert counts.risen({"image sds": {**row, "kernels": 9}}, {"image sds": row}) == []
    assert counts.risen({"image sds": {**row, "waits": 2}}, {"image sds": row}) == ["image sds: waits 1 -> 2"]
    assert counts.risen({"image sds": row}, {}) == ["image sds is not in the table"]
