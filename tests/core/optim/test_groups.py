"""Views of a prior that sees groups of them: a step never tears a group apart, whatever the method."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, sample_cameras
from tbsd_pack.tbsd_core.experiment import Experiment, default_config, read_newest, run
from tbsd_pack.tbsd_core.experiment.cost import evaluations_per_view
from tbsd_pack.tbsd_core.guidance import METHODS, build_guidance
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_pack.tbsd_core.optim.draws import draw, draw_timesteps
from tbsd_pack.tbsd_core.optim.loop import check
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.rng import named_generator
from tbsd_pack.tbsd_core.scenes import SCENES, NeRFConfig

NERF = NeRFConfig(resolutions=(5, 9), n_samples=8, occupancy_resolution=8)
OPTIM = OptimConfig(n_steps=2, views_per_step=8, size=16)


@pytest.fixture(scope="module")
def prior():
    return load_prior("multiview")


def distillation(prior, method: str, scene: str = "nerf", optim: OptimConfig = OPTIM, perp_neg: float = 0.0):
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt, perp_neg)
    config = NERF if scene == "nerf" else SCENES["image"].config(n_images=2, size=16)
    made, source = (SCENES[scene].scene(config) for _ in range(2))
    return Distillation(prior, prompts, build_guidance(method), made, CameraConfig(), optim, source=source)


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_given_whole_groups_of_one_elevation_and_one_timestep(method, prior):
    """Also on the way of a trajectory, to a LoRA, and where fewer views than a group are to go at once."""
    if getattr(build_guidance(method), "flow_only", False):
        pytest.skip("for flow models only")
    of = distillation(prior, method)
    state = OptimState.create(of.scene, of.config, create_adapter(prior, of.guidance, 0))
    state.view_chunk = 3
    asked = []

    def watch(module, inputs, named):
        asked.append((*inputs[:2], named.get("cross_attention_kwargs", {}).get("views", 1)))

    def told(module, inputs):
        angles.append(inputs)

    angles: list[tuple[torch.Tensor, torch.Tensor]] = []
    handles = [
        prior.unet.register_forward_pre_hook(watch, with_kwargs=True),
        prior._cameras.register_forward_pre_hook(told),
    ]
    try:
        list(optimize(of, state))
    finally:
        [handle.remove() for handle in handles]
    grouped = [(x, t) for x, t, views in asked if views == 4]
    assert grouped and len(grouped) == len(angles)
    for (x, t), (azimuth, elevation) in zip(grouped, angles, strict=True):
        assert len(x) % 4 == 0
        assert (t.view(-1, 4) == t.view(-1, 4)[:, :1]).all()
        assert (elevation.view(-1, 4) == elevation.view(-1, 4)[:, :1]).all()
        gaps = (azimuth.view(-1, 4) - azimuth.view(-1, 4).roll(1, 1)) % 360
        assert (gaps > 44).all()  # a quarter turn, jittered


def test_a_few_views_at_a_time_give_the_gradient_of_all(prior):
    found = []
    for at_once in (0, 3):
        of = distillation(prior, "tbsd")
        state = OptimState.create(of.scene, of.config)
        state.view_chunk = at_once
        next(optimize(of, state))
        found.append(torch.cat([p.grad.flatten() for p in of.scene.parameters() if p.grad is not None]))
    assert (found[1] - found[0]).norm() < 1e-4 * found[0].norm() > 0


def test_cameras_of_a_group_go_around_at_one_elevation_and_distance():
    config = CameraConfig(distance_max=5.0, fov_y_max=50.0)
    for stratified in (True, False):
        of = dataclasses.replace(config, stratified=stratified)
        cameras = sample_cameras(of, 8, named_generator(0, "camera"), 4)
        for value in (cameras.elevation, cameras.distance, cameras.fov_y):
            assert (value.view(2, 4) == value.view(2, 4)[:, :1]).all() and value[0] != value[4]
        gaps = (cameras.azimuth.view(2, 4).roll(-1, 1) - cameras.azimuth.view(2, 4)) % 360
        assert (gaps - 90).abs().max() < (22.6 if stratified else 45.1)
    together = sample_cameras(CameraConfig(), 8, named_generator(0, "camera"), 4).azimuth.sort().values
    assert together.diff().max() < 90  # groups lie between each other
    one = sample_cameras(CameraConfig(), 4, named_generator(0, "camera"), 4)
    alone = sample_cameras(CameraConfig(), 4, named_generator(0, "camera"))
    assert torch.equal(one.azimuth, alone.azimuth)  # four stratified views are a group already
    with pytest.raises(ValueError, match="whole groups of 4, got 6"):
        sample_cameras(CameraConfig(), 6, named_generator(0, "camera"), 4)


def test_a_group_has_the_timestep_of_its_first_sample():
    alone, noise = draw(OPTIM, 1000, (8, 1, 2, 2), 3)
    together, same = draw(OPTIM, 1000, (8, 1, 2, 2), 3, group=4)
    assert together.tolist() == [int(alone[0])] * 4 + [int(alone[4])] * 4 and torch.equal(noise, same)


def test_views_that_are_no_whole_groups_and_perp_neg_are_refused_with_what_to_set(prior):
    six = distillation(prior, "sds", optim=dataclasses.replace(OPTIM, views_per_step=6))
    with pytest.raises(ValueError, match="must be a multiple of 4, got 6. Set optim.views_per_step to 8"):
        check(six, OptimState.create(six.scene, six.config))
    perp = distillation(prior, "sds", perp_neg=1.0)
    with pytest.raises(ValueError, match="is told the camera itself; got perp_neg 1. Set perp_neg to 0"):
        check(perp, OptimState.create(perp.scene, perp.config))
    pictures = distillation(prior, "sds", "image", dataclasses.replace(OPTIM, views_per_step=6))
    (first, _) = optimize(pictures, OptimState.create(pictures.scene, pictures.config))
    assert len(set(first.t.tolist())) == 2  # single pictures: each its own timestep


def test_a_run_that_is_resumed_ends_as_the_whole_one(tmp_path, prior):
    """Bit for bit, with a method that draws on its way how far each group goes."""
    config = default_config("a brick house", method="sdi", prior="multiview", n_steps=2, size=16)
    config = dataclasses.replace(config, scene=NERF)

    def stop(record):
        raise KeyboardInterrupt

    run(config, tmp_path / "whole", prior=prior, in_full=False)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "parts", on_step=stop, prior=prior, in_full=False)
    assert read_newest(tmp_path / "parts").run.step == 1
    run(config, tmp_path / "parts", resume=tmp_path / "parts", prior=prior, in_full=False)
    whole, parts = (read_newest(tmp_path / name).tensors for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)


def test_the_cost_of_a_run_counts_the_timesteps_that_groups_have():
    """A trajectory is as long as its group's, which another configuration of the same seed has not."""
    priors = ("learned", "multiview")
    of = {name: default_config("a brick house", method="ism", prior=name, n_steps=20) for name in priors}
    t = [draw_timesteps(of["multiview"].optim, 1000, 4, step, 4) for step in range(20)]
    guidance = build_guidance("ism", of["multiview"].guidance)
    visits = sum(float(guidance.visits(step / 20, t[step], 1000).float().mean()) for step in range(20))
    assert evaluations_per_view(of["multiview"]) == 20 * len(guidance.required(0.0)) + visits
    assert evaluations_per_view(of["multiview"]) != evaluations_per_view(of["learned"])
    assert Experiment(of["multiview"], load_prior("multiview")).evaluations == 4 * evaluations_per_view(of["multiview"])
