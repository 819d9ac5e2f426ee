from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import TBSDConfig
from tbsd_pack.tbsd_core.optim import OptimConfig
from tbsd_pack.tbsd_core.preset_changes import YOURS, changed
from tbsd_pack.tbsd_core.presets import describe, preset
from tbsd_pack.tbsd_core.scenes import NeRFConfig

GROUPS = {"guidance": TBSDConfig(), "scene": NeRFConfig(), "optim": OptimConfig(), "cameras": CameraConfig()}


def test_what_is_not_named_stays_recommended():
    found = preset("sd15", "nerf", "tbsd")
    text = "optim.lr=0.005;scene.tv_weight = 0.05\n\nguidance.balance.schedule.end=0.2; cameras.fov_y_max=; "
    new = changed(found, GROUPS, text.replace("fov_y_max=", "fov_y_max=null"))
    own = {name: setting.value for name, setting in new.items() if setting.source == YOURS}
    assert own == {
        "optim.lr": 0.005,
        "scene.tv_weight": 0.05,
        "guidance.balance.schedule.end": 0.2,  # which the preset does not name
        "cameras.fov_y_max": None,
    }
    assert {name: new[name] for name in found if name not in own} == {n: s for n, s in found.items() if n not in own}
    assert changed(found, GROUPS, "") == found
    assert "optim.lr = 0.005  (yours)" in describe("sd15", "nerf", "tbsd", found=new)


@pytest.mark.parametrize(
    "text, said",
    [
        ("optim.lr 0.005", "A change must be name=value, such as optim.lr=0.005, got 'optim.lr 0.005'"),
        ("lr=0.005", r"group of settings \(guidance\., scene\., optim\., cameras\.\), got 'lr=0.005'"),
        ("optim.learning_rate=1", "'optim.learning_rate=1': There is no setting 'learning_rate' in OptimConfig"),
        ("optim.lr=fast", "'optim.lr=fast': "),
        ("optim.lr=-1", "'optim.lr=-1': lr must be > 0, got -1"),
        ("optim=1", "'optim=1': "),
        ("optim.timesteps=1", "'timesteps' is a group of settings"),
        ("optim.n_steps=9", "optim.n_steps is not part of a preset here: set it on Optimize 3D"),
    ],
)
def test_what_is_not_possible_is_said(text, said):
    with pytest.raises(ValueError, match=said):
        changed(preset("sd15", "nerf", "tbsd"), GROUPS, text, {"optim.n_steps": "Optimize 3D"})


def test_the_last_one_counts():
    assert changed({}, GROUPS, "optim.lr=1; optim.lr=0.5")["optim.lr"].value == 0.5
