"""A host can interrupt a run in any layer of its models; scene and state are then as they were before the step."""

from __future__ import annotations

import signal

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_pack.tbsd_core.optim.state_tensors import state_tensors
from tbsd_pack.tbsd_core.priors.diffusers import load_diffusers_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts
from tbsd_pack.tbsd_core.scenes import GaussianConfig, GaussianScene, ImageConfig, ImageScene
from tiny_pipelines import SIZE, save_pipeline


class Interrupt(Exception):
    pass


class LayerCalls:
    """Counts the calls of all layers of a prior, and raises in the one that is told."""

    def __init__(self, prior) -> None:
        self.n, self.raise_at = 0, -1
        for network in (prior.unet, prior.vae):
            for layer in (m for m in network.modules() if not list(m.children())):
                layer.register_forward_hook(self)

    def __call__(self, layer, inputs, output) -> None:
        self.n += 1
        if self.n == self.raise_at:
            raise Interrupt


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return load_diffusers_prior(save_pipeline(tmp_path_factory.mktemp("pipelines") / "sd", "sd"))


@pytest.fixture(scope="module")
def calls(prior) -> LayerCalls:
    return LayerCalls(prior)


@pytest.fixture(scope="module")
def prompts(prior):
    return encode_texts(build_texts(PromptConfig(prompt="a house")), prior.encode_prompt)


def splats() -> GaussianScene:
    """Some fade at once and are moved before each second step; one lies outside and is pulled back."""
    scene = GaussianScene(GaussianConfig(n_gaussians=40, relocate_every=2, relocate_end=1.0, dead_opacity=0.09))
    with torch.no_grad():
        scene.opacity_logits[::4] -= 1
        scene.means[0] = 2.0
    return scene


class Run:
    def __init__(self, prior, prompts, scene, method: str, **settings) -> None:
        self.config = OptimConfig(n_steps=4, views_per_step=1, size=SIZE, **settings)
        self.guidance = build_guidance(method)
        self.scene, self.prior, self.prompts = scene, prior, prompts
        self.state = OptimState.create(scene, self.config, create_adapter(prior, self.guidance, 0))

    def go(self, until: int) -> None:
        run = Distillation(self.prior, self.prompts, self.guidance, self.scene, CameraConfig(), self.config)
        steps = optimize(run, self.state)
        while self.state.step < until:
            next(steps)

    def seen(self) -> dict[str, torch.Tensor]:
        """All that a checkpoint holds."""
        steps = torch.tensor([self.state.step, self.state.bad_steps])
        scene = {f"scene.{name}": v.clone() for name, v in self.scene.state_dict().items()}
        return {"steps": steps, **scene, **state_tensors(self.state)}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


CASES = {
    "a picture that takes predictions again": (lambda: ImageScene(ImageConfig(size=SIZE)), "vsd", {"reuse_steps": 3}),
    "splats that move": (splats, "esd", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_in_any_layer_leaves_the_state_before_the_step(name, prior, prompts, calls):
    make, method, settings = CASES[name]
    whole = Run(prior, prompts, make(), method, **settings)
    whole.go(3)
    calls.n, calls.raise_at = 0, -1
    whole.go(4)
    n_calls = calls.n

    run = Run(prior, prompts, make(), method, **settings)
    run.go(3)
    before = run.seen()
    assert n_calls > 50
    for at in range(1, n_calls + 1, 7):
        calls.n, calls.raise_at = 0, at
        with pytest.raises(Interrupt):
            run.go(4)
        assert same(run.seen(), before), f"interrupted in call {at} of {n_calls}"
    calls.raise_at = -1
    run.go(4)
    assert same(run.seen(), whole.seen()), "and the run goes on as if nothing had happened"


@pytest.fixture
def ctrl_c():
    """Python's own answer to Ctrl-C: a shell starts what runs in the background with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_between_the_optimisers_waits_for_both(prior, prompts, calls, ctrl_c):
    calls.raise_at = -1
    whole, run = (Run(prior, prompts, ImageScene(ImageConfig(size=SIZE)), "vsd") for _ in range(2))
    whole.go(2)
    run.go(1)
    handle = run.state.optimizer.register_step_post_hook(lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run.go(2)
    handle.remove()
    assert run.state.step == 2 and same(run.seen(), whole.seen())
    whole.go(4)
    run.go(4)
    assert same(run.seen(), whole.seen())
