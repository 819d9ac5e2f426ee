"""Extrapolation from small views to large ones, and the choices that rest on it."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.counting import counted
from tbsd_pack.tbsd_core.experiment import Experiment, MeshInput, Needs, default_config, fitted, read_prior
from tbsd_pack.tbsd_core.experiment.duration import duration_of
from tbsd_pack.tbsd_core.experiment.needs import Work, extended, needs_of
from torch.utils.flop_counter import FlopCounterMode

WORK = Work(0.0, 0.0, 0.0, 0.0, 0.0)


def needs(**changes) -> Needs:
    values = dict(once=0.0, kept=0.0, render=0.0, encode=80.0, recomputed=32.0, predict=10.0, work=WORK)
    return Needs(**(values | changes))


def test_a_polynomial_goes_through_its_points_and_on():
    assert extended([1, 4, 9], [3 + 2 * p + 5 * p * p for p in (1, 4, 9)], 64) == pytest.approx(3 + 128 + 5 * 64**2)
    assert extended([1, 2], [10, 1], 9) == 0.0


def test_operations_of_small_views_extend_to_those_of_a_large_one():
    config = default_config("a brick house", "image", "tbsd", size=256)
    of = Experiment(replaced(config, "optim.size", 256), read_prior(config))
    found, prior = needs_of(of), of.prior
    images = torch.full((1, 3, 256, 256), 0.5, requires_grad=True)
    whole = counted(lambda: prior.encode(images), lambda z: torch.autograd.grad(z.sum(), [images]))
    latents, t = torch.zeros(1, 4, 64, 64), torch.tensor([500])
    rows = [of.prompts.select(name, [""]) for name in ("target", "uncond")]
    two = counted(lambda: prior.predict_noise(latents, t, rows))
    assert found.work.predict == pytest.approx(two.flops / 2, rel=1e-6)
    assert found.work.see == pytest.approx(whole.flops, rel=1e-6)
    assert found.encode == pytest.approx(whole.bytes, rel=0.02)
    assert found.recomputed is not None and found.recomputed < 0.7 * found.encode
    assert prior.recompute_encoder is False, "as it was"


@pytest.mark.parametrize("task, settings", [("sharpen", {}), ("new", {"scene.encoding": "hash"})])
def test_what_a_painted_mesh_needs_is_measured_with_its_own_losses(task, settings):
    """Pinned colours, and an encoding that has no total variation."""
    mesh = MeshInput(file="sample:brick cube, blurry", keep_colors=True)
    config = default_config("a brick cube", "mesh_texture", "sds", mesh=mesh, task=task)
    for name, value in settings.items():
        config = replaced(config, name, value)
    if "scene.encoding" in settings:
        config = replaced(config, "scene.resolutions", (8, 16))
    found = needs_of(Experiment(config, read_prior(config)))
    assert found.render > 0 and found.encode > 0


def test_the_least_slow_way_is_chosen():
    def way(budget, **changes):
        fit = fitted(needs(**changes), 4, 1.25 * budget, can_shrink=True)
        return fit.view_chunk, fit.halvings, fit.recompute

    assert way(320) == (0, 0, False)
    assert way(240) == (2, 0, False), "parts of one size"
    assert way(80) == (1, 0, False)
    assert way(79) == (1, 0, True)
    assert way(100, render=40.0) == (1, 1, False), "a few pieces cost less than the encoder once more"
    assert way(60, render=100.0) == (1, 2, True)
    assert way(1)[1:] == (0, True), "nothing fits, and pieces of nothing would not help"
    assert way(1, render=100.0)[1:] == (6, True), "so many pieces that more of them save less than a twentieth"
    fit = fitted(needs(recomputed=None), 1, 1.25 * 79, can_shrink=False)
    assert (fit.view_chunk, fit.halvings, fit.recompute, fit.estimated) == (0, 0, False, 100)


def test_an_encoder_that_computes_again_gives_the_same_gradient_in_less_memory():
    prior = read_prior(default_config("a brick house"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    grads = []

    def back(latents: torch.Tensor) -> None:
        grads.extend(torch.autograd.grad(latents.square().sum(), [images]))

    found = []
    for recompute in (False, True):
        prior.recompute_encoder = recompute
        found.append(counted(lambda: prior.encode(images), back))
    plain, again = grads
    assert (plain - again).abs().max() <= 1e-6 * plain.abs().max()
    assert found[1].held < 0.4 * found[0].held and found[1].bytes < 0.7 * found[0].bytes
    assert not any("forward" in vars(part) for part in prior.vae.modules()), "nothing stays patched"


@pytest.mark.parametrize("method", ["sds", "hifa"])
def test_the_operations_of_a_step_are_those_that_it_takes(method):
    """Of HiFA also the decoder's, whose pictures it compares."""
    config = default_config("a brick house", "image", method, n_steps=2)
    of = Experiment(config, read_prior(config))
    expected = duration_of(of, needs_of(of).work, 1, False, False).late
    steps = of.steps()
    next(steps)
    with FlopCounterMode(display=False) as counter:
        next(steps)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)
