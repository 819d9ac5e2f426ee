"""A model does not silently see pictures of another size than in its training."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tbsd_pack.tbsd_core.experiment import default_config, run, size_warning, with_native_views
from tbsd_pack.tbsd_core.experiment.config import COMFYUI, ExperimentConfig
from tbsd_pack.tbsd_core.presets import FAMILIES, native_size
from tbsd_pack.tbsd_core.settings import DEMO


def sized(scene: str, size: int, encode_size: int | None = None, prior: str = "learned") -> ExperimentConfig:
    config = default_config("a brick house", scene, size=size)
    return replace(config, prior=prior, optim=replace(config.optim, encode_size=encode_size))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != DEMO])
@pytest.mark.parametrize("scene", ["nerf", "image"])
def test_smaller_views_of_every_family_are_enlarged(family, scene):
    native = native_size(family)
    assert with_native_views(sized(scene, 64), family, native).optim.encode_size == native
    asked, larger = sized(scene, 64, encode_size=128), sized(scene, native)
    assert with_native_views(asked, family, native) == asked and with_native_views(larger, family, native) == larger
    assert not size_warning(with_native_views(sized(scene, 64, prior=COMFYUI + family), family, native))


def test_latents_and_views_of_the_demo_model_stay():
    assert with_native_views(sized("latent", 64), "sd15", 512).optim.encode_size is None
    assert with_native_views(sized("nerf", 32), DEMO, 64).optim.encode_size is None


@pytest.mark.parametrize(
    "scene, size, encode_size, prior, said",
    [
        ("nerf", 32, None, "learned", "The demo model of this pack was trained on pictures of 64 pixels and sees 32"),
        ("nerf", 32, None, "exact", ""),
        ("nerf", 48, None, "learned", ""),
        ("nerf", 128, None, "learned", "Set size to 64"),
        ("latent", 256, None, COMFYUI + "sd15", "are wrong. Set size to 512"),
        ("image", 256, 256, COMFYUI + "sdxl", "1024 pixels and sees 256 here"),
        ("image", 1024, None, COMFYUI + "sd15", "repeated objects"),
        ("image", 640, None, COMFYUI + "sd15", ""),
    ],
)
def test_other_sizes_are_said(scene, size, encode_size, prior, said):
    warning = size_warning(sized(scene, size, encode_size, prior))
    assert said in warning and bool(said) == bool(warning)


def test_a_run_says_it_and_keeps_it_in_its_report(tmp_path):
    heard = []
    config = default_config("a brick house", "latent", "sds", n_steps=1, size=32)
    report = run(config, tmp_path, on_phase=heard.append)
    warning = size_warning(config)
    assert warning and report["warnings"] == [warning] and heard.count(warning) == 1
