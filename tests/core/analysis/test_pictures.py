from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from analysis_gaussian import SIZE, gaussian_entry, gaussian_prior, with_optim
from tbsd_pack.tbsd_core.analysis.overtime import over_time_sheet
from tbsd_pack.tbsd_core.analysis.pictures import watch_pictures
from tbsd_pack.tbsd_core.analysis.seeds import seed_entries, seeds_sheet
from tbsd_pack.tbsd_core.analysis.vary import IMPLIED, SHAPE_COEFFICIENT, varied, vary_sheet
from tbsd_pack.tbsd_core.guidance.bridge import BridgeConfig
from tbsd_pack.tbsd_core.guidance.sds import SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSDConfig
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, MeshTextureConfig, MeshTextureScene, NeRFConfig
from tbsd_pack.tbsd_core.study import Entry

STEPS = 4


def entry(label="SDS", guidance=None, seed=0, n_images=1, n_steps=STEPS) -> Entry:
    scene = ImageConfig(size=SIZE, n_images=n_images, seed=seed)
    return gaussian_entry(label, guidance or SDSConfig(guidance_scale=3.0), scene, n_steps=n_steps)


def run(entries, at=(1.0,), stop=None):
    results = []
    for step in watch_pictures(entries, gaussian_prior(), results, at):
        if step.done == stop:
            break
    return results


def alone(an_entry: Entry, n_steps: int) -> torch.Tensor:
    """The picture after some steps of a plain run."""
    experiment = an_entry.begin(gaussian_prior())
    for record in experiment.steps():
        if record.step + 1 == n_steps:
            break
    return torch.sigmoid(4 * experiment.scene.pixels.detach())[0]


def test_pictures_are_those_of_a_plain_run_at_that_moment():
    bridge = entry("Bridge", BridgeConfig(switch=0.5))
    first, second = run([entry(), bridge], at=(0.0, 0.5, 1.0))
    assert torch.equal(first.pictures[0.0], torch.sigmoid(4 * ImageScene(entry().config.scene).pixels.detach())[0])
    assert torch.equal(first.pictures[0.0], second.pictures[0.0])
    for result in (first, second):
        for progress in (0.5, 1.0):
            assert torch.equal(result.pictures[progress], alone(result.entry, round(progress * STEPS)))
    assert not torch.equal(first.pictures[1.0], second.pictures[1.0])


def test_seeds_of_a_scene_that_somebody_has_made_begin_with_it():
    made, fresh = ImageScene(ImageConfig(size=SIZE, seed=9)), ImageScene(ImageConfig(size=SIZE, seed=9))
    with torch.no_grad():
        made.pixels += 1
    for seed, of_seed in zip((3, 4), seed_entries(dataclasses.replace(entry(), start=made), (3, 4)), strict=True):
        assert of_seed.start is made and of_seed.config.optim.seed == seed
    (begun,) = seed_entries(dataclasses.replace(entry(), start=fresh), (3,))
    assert begun.start is None and begun.config.scene.seed == 3


def test_the_start_is_not_changed():
    start = ImageScene(ImageConfig(size=SIZE, seed=9))
    before = start.pixels.detach().clone()
    (result,) = run([dataclasses.replace(entry(), start=start)], at=(0.0,))
    assert torch.equal(start.pixels, before)
    assert torch.equal(result.pictures[0.0], torch.sigmoid(4 * before)[0]), "the given start, not that of the settings"


def test_steps_count_over_all_entries_and_a_stop_keeps_what_was_done():
    results = []
    seen = []
    for step in watch_pictures([entry("a"), entry("b", n_steps=6)], gaussian_prior(), results, (0.5, 1.0)):
        seen.append((step.label, step.done, step.total))
        if step.done == 8:
            break
    assert seen[:2] == [("a", 0, 10), ("a", 1, 10)] and seen[-1] == ("b", 8, 10)
    assert set(results[0].pictures) == {0.5, 1.0} and set(results[1].pictures) == {0.5}
    assert len(results[1].experiment.curves.steps) == 4
    sheet = over_time_sheet(results, (0.5, 1.0), "t")
    assert [len(c["pictures"]) for c in json.loads(sheet.json())["cases"]] == [2, 1]


def test_several_pictures_of_a_scene_stand_side_by_side():
    (result,) = run([entry(n_images=3)])
    assert result.pictures[1.0].shape == (3, SIZE, 3 * SIZE)


def test_an_object_is_shown_from_the_front():
    nerf = NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8)
    an_entry = gaussian_entry("a", SDSConfig(), nerf, n_steps=1, views_per_step=2)
    first, second = run([an_entry, with_optim(an_entry, seed=1)], at=(0.0,))
    assert first.pictures[0.0].shape == (3, SIZE, SIZE)
    assert torch.equal(first.pictures[0.0], second.pictures[0.0]), "whatever cameras the run draws"


def failing(label: str, **changes) -> Entry:
    """An entry that cannot begin a step: its size is not the prior's."""
    return with_optim(entry(label, **changes), size=SIZE, encode_size=SIZE + 1)


def test_a_failed_entry_has_words_in_place_of_its_pictures():
    at = (0.0, 1.0)
    first, second = run([failing("a"), entry("b")], at=at)
    assert "RuntimeError" in first.failure and not second.failure
    assert set(first.pictures) == {0.0}, "which was taken before the first step"
    assert first.tile(1.0) == f"failed\n{first.failure}" and torch.equal(first.tile(0.0), first.pictures[0.0])
    assert torch.equal(second.pictures[1.0], alone(second.entry, STEPS))
    cases = json.loads(over_time_sheet([first, second], at, "t").json())["cases"]
    assert cases[0]["error"] == first.failure and "error" not in cases[1]


def test_an_entry_that_cannot_begin_has_a_place_of_its_own():
    broken = dataclasses.replace(entry("b", seed=1), prompts=None)  # this prior reads no text
    sheet = seeds_sheet(run([entry("a"), broken, entry("a", seed=1)]), "t")
    assert [(c["label"], "error" in c, c["steps_done"]) for c in sheet.numbers["cases"]] == [
        ("a", False, STEPS),
        ("b", True, 0),
        ("a", False, STEPS),
    ]


@pytest.mark.parametrize("at", [(), (1.5,), (-0.1, 1.0)])
def test_moments_outside_the_run_are_refused(at):
    with pytest.raises(ValueError, match=r"moments must be one or more numbers in \[0, 1\]"):
        run([entry()], at=at)


def test_the_sheet_over_time_has_a_row_per_entry():
    at = (0.5, 1.0)
    one, two = (over_time_sheet(run([entry()] * n, at), at, "t").image for n in (1, 2))
    assert two.shape[1] > one.shape[1] + 190 and two.shape[2] == one.shape[2]


def test_each_seed_is_the_run_of_that_seed():
    seeds = (3, 7)
    results = run(seed_entries(entry(), seeds))
    for seed, result in zip(seeds, results, strict=True):
        assert torch.equal(result.pictures[1.0], alone(entry(seed=seed), STEPS))
    assert not torch.equal(results[0].pictures[1.0], results[1].pictures[1.0])


def test_a_mesh_that_is_painted_keeps_its_shape_and_colours_with_each_seed():
    scene = MeshTextureScene(MeshTextureConfig(resolutions=(3,)))
    with torch.no_grad():
        next(scene.parameters()).fill_(0.7)
        scene.vertices.fill_(0.25)
    painted = dataclasses.replace(gaussian_entry("a", SDSConfig(), scene.config), start=scene)
    for seed, of_seed in zip((3, 4), seed_entries(painted, (3, 4)), strict=True):
        begun = of_seed.begin(gaussian_prior())
        assert of_seed.config.optim.seed == seed and of_seed.config.scene == begun.scene.config
        for name, value in scene.state_dict().items():
            assert torch.equal(begun.scene.state_dict()[name], value), name


def test_the_sheet_of_seeds_has_a_row_per_label_and_a_column_per_seed():
    entries = seed_entries(entry("a"), range(3)) + seed_entries(entry("b"), range(3))
    whole = seeds_sheet(run(entries), "t")
    assert whole.numbers["seeds"] == [0, 1, 2] and len(whole.numbers["cases"]) == 6
    part = seeds_sheet(run(entries, stop=4 * STEPS + 1), "t")
    assert len(part.numbers["cases"]) == 5 and part.image.shape == whole.image.shape


def test_the_shape_coefficient_runs_from_bridge_to_sds():
    tbsd = entry("TBSD", TBSDConfig(guidance_scale=3.0, balancer="mgda_schedule"))
    none, half, all_shape = (
        dataclasses.replace(tbsd, config=varied(tbsd.config, SHAPE_COEFFICIENT, v)) for v in ("0", "0.5", "1")
    )
    assert half.config.guidance.balancer == IMPLIED[SHAPE_COEFFICIENT]["guidance.balancer"] == "fixed"
    bridge = entry("Bridge", BridgeConfig(guidance_scale=3.0, switch=0.0, anchor=1.0))
    results = run([none, bridge, all_shape, entry("SDS", SDSConfig(guidance_scale=3.0)), half])
    pictures = [r.pictures[1.0] for r in results]
    torch.testing.assert_close(pictures[0], pictures[1])
    torch.testing.assert_close(pictures[2], pictures[3])
    assert not torch.allclose(pictures[4], pictures[0]) and not torch.allclose(pictures[4], pictures[2])


def test_an_unknown_setting_or_a_bad_value_is_refused():
    config = entry("TBSD", TBSDConfig()).config
    with pytest.raises(ValueError, match="no setting 'shape'"):
        varied(config, "guidance.shape", "1")
    with pytest.raises(ValueError, match="shape_share must be in"):
        varied(config, SHAPE_COEFFICIENT, "2")
    with pytest.raises(ValueError, match="no setting 'balance'"):
        varied(entry().config, SHAPE_COEFFICIENT, "0.5")


def test_the_sheet_measures_each_value_and_says_where_nothing_changed():
    values = ["1", "5", "5"]
    entries = [entry(v, SDSConfig(guidance_scale=float(v))) for v in values]
    sheet = vary_sheet(run(entries), "guidance.guidance_scale", values, "t")
    assert [c["value"] for c in sheet.numbers["cases"]] == values
    assert sheet.numbers["identical"] == [["5", "5"]]
    assert {"foreground", "saturation", "fine_detail"} == set(sheet.numbers["cases"][0]["metrics"])


def test_a_value_that_fails_leaves_the_others_at_their_places():
    values = ["1", "5", "9"]
    entries = [entry(v, SDSConfig(guidance_scale=float(v))) for v in values]
    entries[0] = with_optim(entries[0], encode_size=SIZE + 1)
    sheet = vary_sheet(run(entries), "guidance.guidance_scale", values, "t")
    first, *others = sheet.numbers["cases"]
    assert first["value"] == "1" and first["error"] and first["metrics"] == {}
    assert [c["value"] for c in others] == ["5", "9"]
    assert [c["config"]["guidance"]["guidance_scale"] for c in others] == [5.0, 9.0]


def test_a_value_that_cannot_be_measured_keeps_its_picture():
    def measure(result):
        if result.entry.label == "5":
            raise MemoryError("out of memory")
        return {"mean": 0.5}

    values = ["1", "5"]
    results = run([entry(v, SDSConfig(guidance_scale=float(v))) for v in values])
    first, second = vary_sheet(results, "guidance.guidance_scale", values, "t", measure).numbers["cases"]
    assert first["metrics"] == {"mean": 0.5} and "error" not in first
    assert "MemoryError" in second["error"] and second["pictures"]


def test_an_interrupted_series_shows_what_is_done():
    values = ["1", "5"]
    entries = [entry(v, SDSConfig(guidance_scale=float(v))) for v in values]
    results = run(entries, stop=STEPS + 1)
    sheet = vary_sheet(results, "guidance_scale", values, "t", lambda r: {"mean": float(r.pictures[1.0].mean())})
    assert [c["value"] for c in sheet.numbers["cases"]] == ["1"]
