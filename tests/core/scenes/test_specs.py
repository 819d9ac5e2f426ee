"""The table of scenes, against the scenes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core import scenes
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.mesh import Mesh
from tbsd_pack.tbsd_core.scenes import SCENES, Given, MeshTextureConfig, NeRFConfig, RenderOutput, Scene
from tbsd_pack.tbsd_core.settings import DEMO, PUBLISHED, hint_of

GIVEN = Given(size=32, latent_channels=3, spatial_factor=8)


def test_every_file_with_a_specification_is_in_the_table():
    found = {p.stem for p in Path(scenes.__file__).parent.glob("*.py") if "\nSPEC = " in p.read_text(encoding="utf-8")}
    assert found == set(scenes.MODULES)


@pytest.mark.parametrize("spec", SCENES.values(), ids=list(SCENES))
def test_a_specification_fits_its_scene(spec):
    scene = spec.scene(spec.config())
    assert isinstance(scene, Scene) and type(scene.config) is spec.config
    assert spec.uses_cameras == scene.uses_cameras == (scene.n_images == 0)
    assert {kind for kind, _ in spec.presets} <= {PUBLISHED, DEMO}
    seed = next(f for f in fields(spec.config) if f.name == "seed")
    assert seed.default == 0 and (not spec.description or hint_of(seed).tooltip)


def test_sizes_that_are_given_are_taken():
    assert SCENES["image"].fit(SCENES["image"].config(n_images=2), GIVEN) == SCENES["image"].config(n_images=2, size=32)
    assert SCENES["latent"].fit(SCENES["latent"].config(), GIVEN) == SCENES["latent"].config(channels=3, size=4)
    assert SCENES["nerf"].fit(NeRFConfig(), GIVEN) == NeRFConfig()
    mesh = Mesh(np.zeros((5, 3)), np.zeros((7, 3), np.int64))
    given = Given(size=32, latent_channels=3, spatial_factor=8, mesh=mesh)
    assert SCENES["mesh_texture"].fit(MeshTextureConfig(), given) == MeshTextureConfig(n_vertices=5, n_faces=7)


@pytest.mark.parametrize("config", [NeRFConfig, MeshTextureConfig])
def test_the_widget_of_the_finest_level_keeps_the_coarser_ones_below_it(config):
    levels = config().resolutions
    hint = hint_of(next(f for f in fields(config) if f.name == "resolutions"))
    assert hint.widget == "detail" and hint.shown(levels) == levels[-1]
    assert hint.read(levels[-1]) == levels
    assert hint.read(levels[0]) == (levels[0],)
    assert hint.read(300) == (levels[0], 300)


def test_a_scene_that_lacks_a_member_cannot_be_made():
    class Flat(Scene):
        def parameter_groups(self, lr):
            return []

    with pytest.raises(TypeError, match="render"):
        Flat(None)

    class Whole(Flat):
        def render(self, cameras, height, width, generator=None, with_normal=False, progress=1.0):
            grey = torch.full((len(cameras), 3, height, width), 0.5)
            return RenderOutput(grey, grey[:, :1], grey[:, :1])

    whole = Whole(None)
    assert whole.regularization(whole.render(orbit(1), 2, 2), 0.0) == {}
