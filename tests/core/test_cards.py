from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.card_presets import MEMORIES, RULES, nearest_memory, of_card
from tbsd_pack.tbsd_core.cards import PEAKS, sustained
from tbsd_pack.tbsd_core.experiment import default_config
from tbsd_pack.tbsd_core.experiment.defaults import ModelShape
from tbsd_pack.tbsd_core.presets import FAMILY_NAMES, SCENES, describe, preset


@pytest.mark.parametrize(
    "name, peak",
    [
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 88.2),
        ("NVIDIA GeForce RTX 4070", 58.3),
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("Tesla V100-SXM2-16GB", 125.0),
        ("NVIDIA RTX A6000", 154.8),
    ],
)
def test_cards_are_known_by_the_name_that_torch_gives(name, peak):
    assert sustained(name) == pytest.approx(0.4 * peak * 1e12)


@pytest.mark.parametrize(
    "name",
    ["", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D", "AMD Radeon RX 7900 XTX", "NVIDIA L400"],
)
def test_of_other_cards_nothing_is_assumed(name):
    assert sustained(name) is None
    assert all(value > 0 for value in PEAKS.values())


def test_a_card_has_the_plan_of_the_memory_that_it_tells_of():
    gb = 2**30
    assert [nearest_memory(n * gb) for n in (4, 5.7, 7.7, 10, 11.6, 15.7, 23.5, 80)] == [6, 6, 8, 8, 12, 16, 24, 24]


def test_little_memory_changes_the_preset_with_a_reason_and_enough_does_not():
    for family in FAMILY_NAMES:
        for scene in SCENES:
            assert preset(family, scene, "tbsd", None) == preset(family, scene, "tbsd")
            assert all(len(s.source) > 8 for s in of_card(family, scene, MEMORIES[0]).values())
    assert preset("sdxl", "nerf", "tbsd", 8)["optim.encode_size"].value == 768
    assert preset("sdxl", "nerf", "tbsd", 12)["optim.encode_size"].value == 1024
    assert preset("sd15", "mesh_texture", "tbsd", 6)["scene.resolutions"].value == (49, 193)
    assert "optim.encode_size = 768" in describe("sdxl", "nerf", "tbsd", 6) and "of 6 GB" in describe(
        "sdxl", "nerf", "tbsd", 6
    )
    with pytest.raises(ValueError, match="6, 8, 12, 16, 24 GB, got 7"):
        preset("sd15", "nerf", "sds", 7)


@pytest.mark.parametrize(("scene", "encoded"), [("image", None), ("nerf", 768)])
def test_pictures_on_a_small_card_stay_small(monkeypatch, scene, encoded):
    shape = ModelShape("diffusers:x", "sdxl", 4, 8, 1024)
    monkeypatch.setattr("tbsd_pack.tbsd_core.experiment.defaults.model_shape", lambda *given: shape)
    small = default_config("a house", scene, prior="diffusers:x", device="cpu", memory=8).optim
    assert small.encode_size == encoded and (scene == "nerf" or small.size == 768)
    assert (default_config("a house", scene, prior="diffusers:x", device="cpu").optim.encode_size or 1024) == 1024


def test_rules_name_what_there_is():
    for rule in RULES:
        assert rule.most in MEMORIES and set(rule.families) <= set(FAMILY_NAMES) and set(rule.scenes) <= set(SCENES)
        for scene in rule.scenes:
            before = preset(rule.families[0], scene, "tbsd")
            assert all(name in before and before[name].value != s.value for name, s in rule.settings.items())
