from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from analysis_gaussian import SIZE, gaussian_prior, gaussian_prompts
from tbsd_pack.tbsd_core.analysis.cases import Case, labels_of, run_cases
from tbsd_pack.tbsd_core.analysis.overtime import over_time_sheet
from tbsd_pack.tbsd_core.analysis.seeds import seed_cases, seeds_sheet
from tbsd_pack.tbsd_core.analysis.sweep import IMPLIED, SHAPE_COEFFICIENT, sweep_sheet, with_value
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import CSD, SDS, TBSD, Bridge, BridgeConfig, SDSConfig, TBSDConfig
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, optimize
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene

STEPS = 4


def case(label="SDS", guidance=None, seed=0, n_images=1, n_steps=STEPS) -> Case:
    return Case(
        label=label,
        guidance=guidance or SDS(SDSConfig(guidance_scale=3.0)),
        prompts=gaussian_prompts(),
        scene=ImageScene(ImageConfig(size=SIZE, n_images=n_images, seed=seed)),
        optim=OptimConfig(n_steps=n_steps, size=SIZE, views_per_step=1, seed=seed),
    )


def run(cases, at=(1.0,), stop=None):
    results = []
    for step in run_cases(gaussian_prior(), cases, CameraConfig(), results, at):
        if step.done == stop:
            break
    return results


def alone(a_case: Case, n_steps: int) -> torch.Tensor:
    """The picture after some steps of a plain run."""
    scene = ImageScene(a_case.scene.config)
    state = OptimState.create(scene, a_case.optim)
    for record in optimize(Distillation(gaussian_prior(), a_case.prompts, a_case.guidance, scene, CameraConfig(), a_case.optim), state):
        if record.step + 1 == n_steps:
            break
    return torch.sigmoid(4 * scene.pixels.detach())[0]


def test_pictures_are_those_of_a_plain_run_at_that_moment():
    bridge = case("Bridge", Bridge(BridgeConfig(switch=0.5)))
    first, second = run([case(), bridge], at=(0.0, 0.5, 1.0))
    assert torch.equal(first.pictures[0.0], torch.sigmoid(4 * case().scene.pixels.detach())[0])
    assert torch.equal(first.pictures[0.0], second.pictures[0.0])
    for result in (first, second):
        for progress in (0.5, 1.0):
            assert torch.equal(result.pictures[progress], alone(result.case, round(progress * STEPS)))
    assert not torch.equal(first.pictures[1.0], second.pictures[1.0])


def test_the_start_is_not_changed():
    a_case = case()
    before = a_case.scene.pixels.detach().clone()
    run([a_case])
    assert torch.equal(a_case.scene.pixels, before)


def test_steps_count_over_all_cases_and_a_stop_keeps_what_was_done():
    results = []
    seen = []
    for step in run_cases(gaussian_prior(), [case("a"), case("b", n_steps=6)], CameraConfig(), results, (0.5, 1.0)):
        seen.append((step.label, step.done, step.total))
        if step.done == 8:
            break
    assert seen[0] == ("a", 1, 10) and seen[-1] == ("b", 8, 10)
    assert set(results[0].pictures) == {0.5, 1.0} and set(results[1].pictures) == {0.5}
    assert len(results[1].curves.steps) == 4
    sheet = over_time_sheet(results, (0.5, 1.0), "t")
    assert [len(c["pictures"]) for c in json.loads(sheet.json())["cases"]] == [2, 1]


def test_several_pictures_of_a_scene_stand_side_by_side():
    (result,) = run([case(n_images=3)])
    assert result.pictures[1.0].shape == (3, SIZE, 3 * SIZE)


def test_an_object_is_shown_from_the_front():
    nerf = NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))
    optim = OptimConfig(n_steps=1, size=SIZE, views_per_step=2)
    a_case = dataclasses.replace(case(), scene=nerf, optim=optim)
    first, second = run([a_case, dataclasses.replace(a_case, optim=dataclasses.replace(optim, seed=1))], at=(0.0,))
    assert first.pictures[0.0].shape == (3, SIZE, SIZE)
    assert torch.equal(first.pictures[0.0], second.pictures[0.0]), "whatever cameras the run draws"


@pytest.mark.parametrize("at", [(), (1.5,), (-0.1, 1.0)])
def test_moments_outside_the_run_are_refused(at):
    with pytest.raises(ValueError, match=r"moments must be numbers in \[0, 1\]"):
        run([case()], at=at)


def test_labels_name_the_settings_in_which_a_method_differs():
    tnp, gnp = (Bridge(BridgeConfig(negative=n)) for n in ("target_negative", "negative"))
    assert labels_of([tnp, gnp, SDS(), CSD()]) == ["Bridge TNP", "Bridge GNP", "SDS", "CSD"]
    scales = [TBSD(TBSDConfig(guidance_scale=s)) for s in (2.5, 40.0)]
    assert labels_of(scales) == ["TBSD guidance_scale 2.5", "TBSD guidance_scale 40"]


def test_the_sheet_over_time_has_a_row_per_case():
    at = (0.5, 1.0)
    one, two = (over_time_sheet(run([case()] * n, at), at, "t").image for n in (1, 2))
    assert two.shape[1] > one.shape[1] + 190 and two.shape[2] == one.shape[2]


def test_each_seed_is_the_run_of_that_seed():
    seeds = (3, 7)
    results = run(seed_cases(case(), seeds))
    for seed, result in zip(seeds, results, strict=True):
        assert torch.equal(result.pictures[1.0], alone(case(seed=seed), STEPS))
    assert not torch.equal(results[0].pictures[1.0], results[1].pictures[1.0])


def test_the_sheet_of_seeds_has_a_row_per_label_and_a_column_per_seed():
    cases = seed_cases(case("a"), range(3)) + seed_cases(case("b"), range(3))
    whole = seeds_sheet(run(cases), "t")
    assert whole.numbers["seeds"] == [0, 1, 2] and len(whole.numbers["cases"]) == 6
    part = seeds_sheet(run(cases, stop=4 * STEPS + 1), "t")
    assert len(part.numbers["cases"]) == 5 and part.image.shape == whole.image.shape


def test_the_shape_coefficient_runs_from_bridge_to_sds():
    tbsd = TBSD(TBSDConfig(guidance_scale=3.0, balancer="mgda_schedule"))
    none, half, all_shape = (with_value(tbsd, SHAPE_COEFFICIENT, v) for v in ("0", "0.5", "1"))
    assert half.config.balancer == IMPLIED[SHAPE_COEFFICIENT]["balancer"] == "fixed"
    bridge = Bridge(BridgeConfig(guidance_scale=3.0, switch=0.0, anchor=1.0))
    results = run([case(guidance=g) for g in (none, bridge, all_shape, SDS(SDSConfig(guidance_scale=3.0)), half)])
    pictures = [r.pictures[1.0] for r in results]
    torch.testing.assert_close(pictures[0], pictures[1])
    torch.testing.assert_close(pictures[2], pictures[3])
    assert not torch.allclose(pictures[4], pictures[0]) and not torch.allclose(pictures[4], pictures[2])


def test_a_sweep_of_an_unknown_setting_or_a_bad_value_is_refused():
    with pytest.raises(ValueError, match="no setting 'shape'"):
        with_value(TBSD(), "shape", "1")
    with pytest.raises(ValueError, match=r"shape_share must be in \[0, 1\], got 2"):
        with_value(TBSD(), SHAPE_COEFFICIENT, "2")


def test_the_sweep_measures_each_value_and_says_where_nothing_changed():
    values = ["1", "5", "5"]
    cases = [case(v, with_value(SDS(), "guidance_scale", v)) for v in values]
    sheet = sweep_sheet(run(cases), "guidance_scale", values, "t")
    assert [c["value"] for c in sheet.numbers["cases"]] == values
    assert sheet.numbers["identical"] == [["5", "5"]]
    assert {"foreground", "saturation", "fine_detail"} == set(sheet.numbers["cases"][0]["metrics"])


def test_an_interrupted_sweep_shows_what_is_done():
    values = ["1", "5"]
    cases = [case(v, with_value(SDS(), "guidance_scale", v)) for v in values]
    sheet = sweep_sheet(
        run(cases, stop=STEPS + 1), "guidance_scale", values, "t", lambda r: {"mean": float(r.pictures[1.0].mean())}
    )
    assert [c["value"] for c in sheet.numbers["cases"]] == ["1"]
