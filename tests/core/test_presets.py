from __future__ import annotations

import itertools

import pytest
from tbsd_pack.tbsd_core.balancing import BalanceConfig, ProgressSchedule
from tbsd_pack.tbsd_core.configuration import all_settings
from tbsd_pack.tbsd_core.experiment import MeshInput, default_config, with_preset
from tbsd_pack.tbsd_core.guidance import METHODS, TBSDConfig
from tbsd_pack.tbsd_core.presets import FAMILIES, FAMILY_NAMES, FLOW_FAMILIES, SCENES, describe, preset, with_settings
from tbsd_pack.tbsd_core.scenes import SCENES as SCENE_CLASSES
from tbsd_pack.tbsd_core.tasks import TASKS, task_settings


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_preset_names_real_settings_and_a_source_for_each(family, scene, method):
    found = preset(family, scene, method)
    mesh = MeshInput(file="sample:cube") if scene == "mesh_texture" else None
    base = default_config("a cube", scene=scene, method=method, mesh=mesh)
    settings = all_settings(with_preset(base, family))
    assert all(settings[name] == setting.value for name, setting in found.items())
    assert all(len(setting.source) > 8 for setting in found.values())
    text = describe(family, scene, method)
    assert all(f"{name} = {s.value}  ({s.source})" in text for name, s in found.items())


def test_tables_agree():
    assert list(SCENES) == list(SCENE_CLASSES)
    assert list(FAMILIES) == list(FAMILY_NAMES)


@pytest.mark.parametrize(
    "family, scene, method, expected",
    [
        ("sd15", "image", "sds", {"guidance.guidance_scale": 101.0, "optim.size": 512, "optim.n_steps": 1000}),
        ("sd21_v", "latent", "bridge", {"guidance.guidance_scale": 40.0, "guidance.switch": 0.5, "optim.size": 768}),
        ("sdxl", "nerf", "tbsd", {"optim.size": 256, "optim.start_size": 64, "optim.encode_size": 1024}),
        ("sd15", "nerf", "sds", {"scene.tv_weight": 0.1, "cameras.front": 30.0, "cameras.fov_y_max": 70.0}),
        ("sd15", "gaussian", "sds", {"scene.background": (1.0, 1.0, 1.0), "optim.timesteps.t_max_end": 0.02}),
        ("sd3", "image", "sds", {"guidance.guidance_scale": 50.0, "guidance.weighting": "velocity"}),
        ("sd3", "nerf", "sds", {"guidance.guidance_scale": 100.0, "optim.timesteps.t_max": 0.7}),
        ("sd3", "nerf", "tbsd", {"optim.encode_size": 512, "optim.timesteps.t_max_end": 0.5}),
        ("sd3", "nerf", "bridge", {"guidance.weighting": "velocity", "guidance.texture_weighting": "velocity"}),
        ("sd15", "nerf", "bridge", {"guidance.switch": 0.8, "optim.n_steps": 25_000, "optim.encode_size": 512}),
        ("sd15", "latent", "vsd", {"guidance.guidance_scale": 7.5, "optim.lr": 0.03, "guidance.lora.lr": 1e-4}),
        ("sd15", "nerf", "sdi", {"optim.timesteps.draw": "highest", "optim.timesteps.t_max_end": 0.25}),
        ("sd15", "image", "sdi", {"optim.timesteps.draw": "highest", "optim.timesteps.t_max_end": 0.02}),
        ("sd21_base", "nerf", "hifa", {"optim.timesteps.anneal": "sqrt", "guidance.pixel_scale": 0.01}),
        ("demo", "latent", "hifa", {"guidance.pixel_scale": 0.0, "optim.timesteps.draw": "highest"}),
        ("sd15", "nerf", "bsd", {"guidance.guidance_scale": 15.0, "guidance.weighting": "sqrt_alpha"}),
        ("zero123", "nerf", "sds", {"guidance.guidance_scale": 3.0, "optim.encode_size": 256, "cameras.fov_y": 20.0}),
        ("zero123", "nerf", "sds", {"scene.background_mode": "white", "optim.timesteps.t_min": 0.3}),
        ("zero123", "image", "sds", {"guidance.guidance_scale": 101.0, "optim.size": 256}),
        ("demo", "nerf", "tbsd", {"guidance.guidance_scale": 6.0, "optim.size": 64, "optim.n_steps": 600}),
    ],
)
def test_pinned_values(family, scene, method, expected):
    found = preset(family, scene, method)
    assert {name: found[name].value for name in expected} == expected


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_what_draws_no_noise_level_falls_over_the_whole_run(family):
    """Such a run would else stay at one level, and never see less noise."""
    for scene, method in itertools.product(SCENES, METHODS):
        found = {name: setting.value for name, setting in preset(family, scene, method).items()}
        if found.get("optim.timesteps.draw") == "highest":
            assert found["optim.timesteps.anneal_end"] == 1, (scene, method)
            assert found["optim.timesteps.t_max_end"] <= 0.4, (scene, method)


def test_the_whole_configuration_of_tbsd_on_the_demo_model():
    """The configuration that docs/benchmark.md measures under the name TBSD."""
    schedule = ProgressSchedule(start=1.0, end=0.4)
    expected = TBSDConfig(guidance_scale=6.0, balancer="unit_schedule", balance=BalanceConfig(schedule=schedule))
    assert default_config("a brick house", "nerf", "tbsd").guidance == expected
    assert with_settings(TBSDConfig(), "guidance", preset("demo", "nerf", "tbsd")) == expected


def test_the_former_name_of_the_demo_family_is_understood():
    assert preset("embedded", "image", "tbsd") == preset("demo", "image", "tbsd")
    assert describe("embedded", "image", "tbsd") == describe("demo", "image", "tbsd")
    with pytest.raises(ValueError, match="anima, demo\\.$"):
        preset("sd9", "image", "sds")


def test_views_are_enlarged_only_where_the_model_needs_it():
    assert "optim.encode_size" not in preset("demo", "nerf", "tbsd")
    assert "optim.encode_size" not in preset("sd15", "image", "tbsd")


@pytest.mark.parametrize("family", FLOW_FAMILIES)
def test_flow_models_have_what_rfds_publishes_and_say_of_the_rest_that_nothing_is(family):
    """Its method is SDS on velocities."""
    found = {method: preset(family, "image", method) for method in ("sds", "tbsd")}
    scales = {method: settings["guidance.guidance_scale"] for method, settings in found.items()}
    if family == "flux":  # distilled from guided predictions
        assert all(scale.value == 10.0 and "not tried" in scale.source for scale in scales.values())
    else:
        assert "RFDS" in scales["sds"].source and "no value for flow models" in scales["tbsd"].source
    for settings in found.values():
        assert settings["guidance.weighting"].value == "velocity"
        assert settings["optim.timesteps.t_max"].value == settings["optim.timesteps.t_max_end"].value == 0.98
    most = preset(family, "nerf", "sds")["optim.timesteps.t_max"].value
    assert 3 * most / (1 + 2 * most) == pytest.approx(0.875), "with the shift of Stable Diffusion 3"
    assert preset("sdxl", "image", "sds")["guidance.guidance_scale"].value == 101.0


def test_regularisers_of_real_models_are_weighed_against_their_signal():
    """Their gradients are noisier, and the RMS that the gradient is divided by counts noise."""
    for scene in (name for name, spec in SCENES.items() if spec.uses_cameras):
        for method in METHODS:
            assert preset("sd15", scene, method)["optim.normalize_by"].value == "signal"
            assert "optim.normalize_by" not in preset("demo", scene, method)
        weights = {k: v.value for k, v in preset("sd15", scene, "sds").items() if k.endswith("_weight")}
        own = all_settings(SCENES[scene].config(), "scene.")
        assert all(0 < value <= own[name] for name, value in weights.items())


def test_a_method_without_a_preset_keeps_its_defaults_and_says_so():
    assert not any(name.startswith("guidance.") for name in preset("sd15", "image", "new method"))
    assert "the method's own defaults" in describe("sd15", "image", "new method")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="Unknown model family 'sd9'; choose one of sd15"):
        preset("sd9", "image", "sds")
    with pytest.raises(ValueError, match="Unknown scene 'mesh'; choose one of image"):
        preset("sd15", "mesh", "sds")


@pytest.mark.parametrize("family", ["demo", "sd15", "sd3"])
@pytest.mark.parametrize("task", [name for name in TASKS if TASKS[name].scenes])
def test_a_task_changes_what_it_names_and_says_so(family, task):
    for scene in TASKS[task].scenes:
        plain, found = preset(family, scene, "tbsd"), preset(family, scene, "tbsd", task=task)
        changed = {name for name in found if found[name] != plain.get(name)}
        assert changed <= set(task_settings(task, family, scene))
        assert changed or (task, family) == ("repair", "demo")  # whose presets already end with little noise
        text = describe(family, scene, "tbsd", task=task)
        assert TASKS[task].summary in text and all(f"{name} = {found[name].value}" in text for name in changed)
    if family == "sd3":  # RFDS's bound on the noise holds for tasks, too
        assert preset(family, "mesh_texture", "sds", task="repair")["optim.timesteps.t_max"].value == 0.7


@pytest.mark.parametrize("task, most, last, least", [("sharpen", 0.3, 0.1, 0.02), ("repair", 0.98, 0.3, 0.02)])
def test_a_task_keeps_its_noise_with_a_model_that_reads_pictures(task, most, last, least):
    found = preset("zero123", "mesh_texture", "sds", task=task)
    names = ("t_max", "t_max_end", "t_min")
    assert [found[f"optim.timesteps.{name}"].value for name in names] == [most, last, least]
    assert found["scene.background"].value == (1.0, 1.0, 1.0) and found["scene.shading"].value == "none"
    assert found["optim.size"].value == found["optim.encode_size"].value == 256


def test_a_task_is_refused_where_it_cannot_be_done():
    with pytest.raises(ValueError, match="The task sharpen is for the scene mesh_texture, got 'nerf'"):
        preset("demo", "nerf", "tbsd", task="sharpen")
    with pytest.raises(ValueError, match="Unknown task 'x'; choose one of new, repair, restyle, sharpen"):
        preset("demo", "nerf", "tbsd", task="x")
