"""A scene file carries the run that the scene is in; going on with it is as if nothing had happened."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.guidance import build_guidance
from tbsd_pack.tbsd_core.optim import Distillation, OptimState, create_adapter, go_on, optimize, read_snapshot, take_snapshot
from tbsd_pack.tbsd_core.prompts import build_texts, encode_texts
from tbsd_pack.tbsd_core.experiment import default_config, make_scene, read_prior
from tbsd_pack.tbsd_core.scenes.files import Attachment, load_scene, load_with_attachment, save_scene

STEPS = 6


class Case:
    """A small run on the exact prior, ready to be done in parts."""

    def __init__(self, scene: str, method: str = "tbsd") -> None:
        config = default_config("a brick house", scene, method, prior="exact", n_steps=STEPS, size=32)
        self.prior = read_prior(config)
        self.prompts = encode_texts(build_texts(config.prompt), self.prior.encode_prompt)
        self.guidance = build_guidance(config.guidance_name, config.guidance)
        self.optim, self.cameras, self.config = config.optim, config.cameras, config

    def start(self):
        return make_scene(self.config)

    def state(self, scene) -> OptimState:
        return OptimState.create(scene, self.optim, create_adapter(self.prior, self.guidance, self.optim.seed))

    def advance(self, scene, state, until: int) -> None:
        for record in optimize(Distillation(self.prior, self.prompts, self.guidance, scene, self.cameras, self.optim), state):
            if record.step + 1 == until:
                return


@pytest.mark.parametrize("name", ["image", "nerf", "gaussian"])
def test_a_run_goes_on_from_a_scene_file_bit_for_bit(name, tmp_path):
    case = Case(name)
    whole = case.start()
    case.advance(whole, case.state(whole), STEPS)

    part = case.start()
    state = case.state(part)
    case.advance(part, state, 3)
    snapshot = take_snapshot(state, case.optim)
    save_scene(part, tmp_path / "a.safetensors", Attachment(snapshot.about(), snapshot.tensors))
    taken = {key: value.clone() for key, value in snapshot.tensors.items()}
    case.advance(part, state, 4)
    assert all(torch.equal(taken[key], value) for key, value in snapshot.tensors.items()), "a copy, not a view"

    scene, attachment = load_with_attachment(tmp_path / "a.safetensors")
    state = case.state(scene)
    assert go_on(read_snapshot(attachment.about, attachment.tensors, "a"), state, case.optim) == []
    assert state.step == 3
    case.advance(scene, state, STEPS)
    assert all(torch.equal(v, scene.state_dict()[k]) for k, v in whole.state_dict().items())
    assert load_scene(tmp_path / "a.safetensors").state_dict().keys() == whole.state_dict().keys()


def test_what_differs_and_what_does_not_fit_is_said(tmp_path):
    case = Case("image")
    scene = case.start()
    state = case.state(scene)
    case.advance(scene, state, 3)
    snapshot = take_snapshot(state, case.optim)
    longer = replace(case.optim, n_steps=9, lr=0.5)
    assert go_on(snapshot, case.state(scene), longer) == ["n_steps was 6, is 9", f"lr was {case.optim.lr}, is 0.5"]
    with pytest.raises(ValueError, match="has done 3 steps, and steps is 3. Set steps to more"):
        go_on(snapshot, case.state(scene), replace(case.optim, n_steps=3))
    other = Case("nerf")
    with pytest.raises(ValueError, match="cannot be gone on with.*Turn resume off"):
        go_on(snapshot, other.state(other.start()), other.optim)
    for about in ("", "[]", "{}", '{"format": "x", "step": 1, "bad_steps": 0, "config": {}}'):
        with pytest.raises(ValueError, match="The run in file.safetensors is"):
            read_snapshot(about, {}, "file.safetensors")
    with pytest.raises(ValueError, match="it has done -1 steps"):
        read_snapshot('{"format": "tbsd-run-1", "step": -1, "bad_steps": 0, "config": {}}', {}, "file.safetensors")
