from __future__ import annotations

import pytest
import torch
from guidance_properties import SHAPE, a_source, equal_variances
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance.dds import DDS, DDSConfig
from tbsd_pack.tbsd_core.guidance.dvrf import DVRF, DVRFConfig
from tbsd_pack.tbsd_core.optim import (
    Batch,
    Distillation,
    OptimConfig,
    OptimState,
    Predictor,
    optimize,
    predict_and_guide,
)
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.schedule import of_flow
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

FLOW = of_flow(torch.linspace(0.001, 0.999, 1000))
NAMES = ("target", "uncond", "source")


def prior(is_flow: bool = True) -> GaussianPrior:
    return GaussianPrior(equal_variances()[0].prompts, FLOW, is_flow=is_flow)


def prompts(of: GaussianPrior) -> PromptSet:
    return PromptSet({n: {"": of.prompts[n]} for n in NAMES}, {n: {"": n} for n in NAMES})


def asked(method, latents, noise, t, progress):
    model = prior()
    batch = Batch(latents[None], t, noise, None, a_source()[None])
    return predict_and_guide(method, Predictor(model, prompts(model), [""]), batch, progress).out.grad


def test_it_is_the_difference_of_velocities_of_the_paper():
    """Eq. 6 and 8 on the flow itself: x_s = (1 - s) x_0 + s noise + c d, v of the exact Gaussian."""
    model, progress, config = prior(), 0.6, DVRFConfig(guidance_scale=3.0, source_scale=2.0)
    noise = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([700])
    x, src = (a_source() + 0.2)[None], a_source()[None]
    alpha, sigma = FLOW.alpha_sigma(t)
    s = sigma / (alpha + sigma)

    def velocity(x_s: torch.Tensor, name: str, scale: float) -> torch.Tensor:
        x_t = x_s * (alpha + sigma)
        cond, empty = model.predict_noise(x_t, t, [[model.prompts[name]], [model.prompts["uncond"]]])
        return (empty + scale * (cond - empty) - x_s) / (1 - s)

    c = config.shift * progress * s
    target = velocity((1 - s) * x + s * noise + c * (x - src), "target", 3.0)
    source = velocity((1 - s) * src + s * noise, "source", 2.0)
    expected = target - source + (1 - config.shift * progress) * (x - src)
    torch.testing.assert_close(asked(DVRF(config), x[0], noise, t, progress), expected, rtol=1e-4, atol=1e-4)


def test_without_the_shift_it_is_dds_on_velocities():
    noise, t = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.tensor([300])
    mine = DVRF(DVRFConfig(guidance_scale=5.0, source_scale=5.0, shift=0.0))
    dds = DDS(DDSConfig(guidance_scale=5.0, weighting="velocity"))
    one, other = (asked(m, a_source() + 0.1, noise, t, 0.7) for m in (mine, dds))
    torch.testing.assert_close(one, other)


def test_a_model_that_is_no_flow_is_refused_with_what_to_use():
    scene, config = ImageScene(ImageConfig(size=4)), OptimConfig(n_steps=1, size=4)
    for is_flow in (True, False):
        model = prior(is_flow)
        parts = (model, prompts(model), DVRF(), scene, CameraConfig(), config)
        run = Distillation(*parts, source=copy_scene(scene))
        if is_flow:
            assert len(list(optimize(run, OptimState.create(scene, config)))) == 1
        else:
            with pytest.raises(ValueError, match="DVRF is for flow models .* Use DDS"):
                next(optimize(run, OptimState.create(scene, config)))
