from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.optim import OptimConfig, OptimState
from tbsd_pack.tbsd_core.optim.shared_adam import SharedAdam
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene


def stepped(optimizer_class, gradients, **kwargs):
    p = torch.nn.Parameter(torch.zeros_like(gradients[0]))
    optimizer = optimizer_class([p], lr=0.1, betas=(0.9, 0.99), **kwargs)
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
    return p.detach()


def test_equals_adam_on_a_single_number():
    gradients = [torch.tensor([g]) for g in (1.0, -0.5, 2.0, 0.1)]
    torch.testing.assert_close(stepped(SharedAdam, gradients), stepped(torch.optim.Adam, gradients))


def test_first_step_keeps_the_shape_of_the_gradient():
    g = torch.tensor([3.0, -4.0, 0.0, 1e-6])
    rms = g.pow(2).mean().sqrt()
    torch.testing.assert_close(stepped(SharedAdam, [g]), -0.1 * g / rms)


def test_scale_of_the_gradient_does_not_matter():
    gradients = [torch.randn(5, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    scaled = [1000 * g for g in gradients]
    torch.testing.assert_close(stepped(SharedAdam, gradients), stepped(SharedAdam, scaled), rtol=1e-4, atol=1e-6)


def test_auto_takes_the_shared_moment_for_pictures_and_unknown_names_are_refused():
    scene = ImageScene(ImageConfig(size=8))
    assert isinstance(OptimState.create(scene, OptimConfig()).optimizer, SharedAdam)
    with pytest.raises(ValueError, match="shared_adam"):
        OptimState.create(scene, OptimConfig(optimizer="sgd"))


def test_rows_of_a_group_have_moments_of_their_own():
    gradients = [torch.randn(3, 4, generator=torch.Generator().manual_seed(i)) * 10.0**i for i in range(4)]

    def rows(chosen):
        p = torch.nn.Parameter(torch.zeros(len(chosen), 4))
        optimizer = SharedAdam([{"params": [p], "per_row": True}], lr=0.1)
        for g in gradients:
            p.grad = g[chosen].clone()
            optimizer.step()
        return p.detach()

    together = rows([0, 1, 2])
    torch.testing.assert_close(together[1:2], rows([1]))
    assert not torch.equal(together, stepped(SharedAdam, gradients))


def test_image_scenes_keep_their_pictures_apart():
    (group,) = ImageScene(ImageConfig(size=8)).parameter_groups(0.1)
    assert group["per_row"]
