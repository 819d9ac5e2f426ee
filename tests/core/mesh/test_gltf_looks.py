"""Colours of GLB files as other programs write them: at vertices, in factors and in materials of older kinds.

The values expected are the ones that glTF 2.0 and the texts of its extensions ask for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from glb_files import GLOSS, UVS, Writer, loaded, plain, textured
from tbsd_pack.tbsd_core.color import linear_to_srgb, srgb_to_linear
from tbsd_pack.tbsd_core.mesh.texture import sample_texture


def seen(mesh) -> np.ndarray:
    """The colour of each quad of a row, as a viewer shows it: by its place in space alone."""
    factor = np.array(mesh.surface.factors.get("base_color_factor", [1.0] * 4))[:3]
    middles = mesh.vertices[mesh.faces].mean(1)[:, 0]
    found = []
    for k in np.argsort(middles)[::2]:
        if mesh.texture is None:
            own = mesh.colors[mesh.faces[k]].mean(0)
        else:
            own = sample_texture(mesh.texture, mesh.uvs[mesh.faces[k]].mean(0))
        found.append(linear_to_srgb(srgb_to_linear(own) * factor))
    return np.array(found)


@pytest.mark.parametrize("name", ["EXT_texture_avif", "KHR_texture_basisu", "MSFT_texture_dds"])
def test_a_texture_that_is_not_read_is_called_by_its_name(tmp_path, name):
    writer = Writer()
    tree = writer.pictures(plain(255, 0, 0)) | {"textures": [{"extensions": {name: {"source": 0}}}]}
    data = writer.glb([writer.quad(material=0)], materials=[textured()], extensionsRequired=[name], **tree)
    with pytest.raises(ValueError, match=rf"not read \({name}\). Save its textures as PNG or JPEG"):
        loaded(tmp_path, data)


# --- colours at vertices


RED, GREEN, GREY = plain(255, 0, 0), (0.0, 1.0, 0.0), (0.25, 0.25, 0.25)
SEEN_GREY = float(linear_to_srgb(np.array(0.25)))


@pytest.mark.parametrize("has_uvs", [True, False])
def test_one_colour_at_the_vertices_of_a_part_stays_beside_the_texture_of_another(tmp_path, has_uvs):
    writer = Writer()
    uvs = UVS if has_uvs else None
    parts = [writer.quad(material=0), writer.quad(2, colors=GREEN, uvs=uvs), writer.quad(4, colors=GREY, material=1)]
    tree = writer.pictures(RED) | {"materials": [textured(), {"name": "bare"}]}
    found = loaded(tmp_path, writer.glb(parts, **tree))
    np.testing.assert_allclose(seen(found.mesh), [[1, 0, 0], [0, 1, 0], [SEEN_GREY] * 3], atol=1 / 255)
    assert not any("vertex colours" in line for line in found.report)


def test_one_colour_at_the_vertices_of_a_textured_part_multiplies_the_texture(tmp_path):
    writer = Writer()
    tree = writer.pictures(plain(255, 128, 0)) | {"materials": [textured(baseColorFactor=[1, 1, 0.5, 1])]}
    found = loaded(tmp_path, writer.glb([writer.quad(material=0, colors=(1, 0.25, 1))], **tree))
    half = float(linear_to_srgb(srgb_to_linear(np.array(128 / 255)) * 0.25))
    np.testing.assert_allclose(seen(found.mesh), [[1, half, 0]], atol=1 / 255)
    assert found.mesh.surface.factors["base_color_factor"] == pytest.approx([1, 0.25, 0.5, 1], abs=1e-4)


def test_white_at_the_vertices_changes_nothing(tmp_path):
    writer = Writer()
    parts = [writer.quad(material=0, colors=(1, 1, 1)), writer.quad(2, material=0, uvs=UVS * 3)]
    found = loaded(tmp_path, writer.glb(parts, materials=[textured()], **writer.pictures(RED)))
    assert found.mesh.uvs.max() == 3 and not any("not kept" in line for line in found.report)


RAMP = np.linspace(0, 1, 4)[:, None]


@pytest.mark.parametrize("is_textured", [True, False])
def test_several_colours_at_the_vertices_are_reported_beside_a_texture(tmp_path, is_textured):
    writer = Writer()
    parts = [writer.quad(material=0), writer.quad(2, colors=RAMP, **({"material": 0} if is_textured else {}))]
    tree = writer.pictures(RED) | {"materials": [textured()]}
    lines = [line for line in loaded(tmp_path, writer.glb(parts, **tree)).report if "vertex colours" in line]
    assert len(lines) == 1 and lines[0].startswith("not kept: the vertex colours of 1 object")


def test_colours_at_the_vertices_never_cost_the_texture(tmp_path):
    """The picture repeats, so that it cannot go beside another one."""
    writer = Writer()
    parts = [writer.quad(material=0, uvs=UVS * 3), writer.quad(2, material=0, colors=GREY)]
    found = loaded(tmp_path, writer.glb(parts, materials=[textured()], **writer.pictures(RED)))
    assert found.mesh.uvs.max() == 3 and (found.mesh.texture == [1, 0, 0]).all()
    assert any("not kept: the vertex colours of 1 object" in line for line in found.report)


def test_colours_at_the_vertices_stay_where_no_texture_is_read(tmp_path):
    writer = Writer()
    tree = writer.pictures(RED) | {"textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]}
    found = loaded(tmp_path, writer.glb([writer.quad(material=0, colors=GREEN)], materials=[textured()], **tree))
    np.testing.assert_allclose(seen(found.mesh), [[0, 1, 0]], atol=1e-6)
    assert any("KHR_texture_basisu" in line for line in found.report)


# --- materials


def test_materials_that_share_a_texture_keep_their_own_factors(tmp_path):
    """They overlap in it, so that each gets a copy of its own."""
    writer = Writer()
    parts = [writer.quad(2 * k, material=k) for k in range(3)]
    looks = [textured(), textured(baseColorFactor=[0.25, 0.25, 0.25, 1]), textured(baseColorFactor=[1, 0, 0, 1])]
    found = loaded(tmp_path, writer.glb(parts, materials=looks, **writer.pictures(plain(255, 255, 255))))
    np.testing.assert_allclose(seen(found.mesh), [[1] * 3, [SEEN_GREY] * 3, [1, 0, 0]], atol=1 / 255)
    assert "base_color_factor" not in found.mesh.surface.factors
    assert not any("not kept" in line for line in found.report), found.report
    bare = loaded(tmp_path, writer.glb(parts, materials=looks, **writer.pictures(RED)), colors=False).mesh
    assert bare.texture is None and bare.uvs is not None


def test_materials_in_an_atlas_keep_their_own_factors_and_its_texture_coordinates(tmp_path):
    writer = Writer()
    parts = [writer.quad(material=0, uvs=UVS * 0.4), writer.quad(2, material=1, uvs=UVS * 0.4 + 0.5)]
    looks = [textured(), textured(baseColorFactor=[0.25, 0.25, 0.25, 1])]
    found = loaded(tmp_path, writer.glb(parts, materials=looks, **writer.pictures(plain(255, 255, 255))))
    np.testing.assert_allclose(seen(found.mesh), [[1] * 3, [SEEN_GREY] * 3], atol=1 / 255)
    np.testing.assert_array_equal(found.mesh.uvs[:4], UVS * np.float32(0.4))
    assert found.mesh.texture.shape == (8, 8, 3)


def test_factors_that_cannot_be_kept_are_reported(tmp_path):
    writer = Writer()
    parts = [writer.quad(2 * k, material=k, uvs=UVS * 3) for k in range(2)]
    looks = [textured(), textured(baseColorFactor=[0.25, 0.25, 0.25, 1])]
    found = loaded(tmp_path, writer.glb(parts, materials=looks, **writer.pictures(RED)))
    assert any("base_color_factor" in line for line in found.report) and found.mesh.texture is not None


def glossy(**values: Any) -> dict:
    return {"extensions": {GLOSS: values}}


def test_an_old_material_of_diffuse_colour_and_gloss_keeps_them(tmp_path):
    writer = Writer()
    look = glossy(diffuseFactor=[0.25, 1, 0, 1], diffuseTexture={"index": 0}, glossinessFactor=0.2)
    data = writer.glb([writer.quad(material=0)], materials=[look], **writer.pictures(plain(255, 255, 255)))
    found = loaded(tmp_path, data)
    np.testing.assert_allclose(seen(found.mesh), [[SEEN_GREY, 1, 0]], atol=1 / 255)
    factors = found.mesh.surface.factors
    assert factors["roughness_factor"] == pytest.approx(0.8) and factors["metallic_factor"] == 0
    assert any("its specular colour" in line and "gloss" not in line for line in found.report)
    data = writer.glb([writer.quad(material=0), writer.quad(2, material=1)], materials=[
        glossy(diffuseFactor=[1, 0, 0, 1]), glossy(diffuseFactor=[0, 0, 1, 1])
    ])  # fmt: skip
    np.testing.assert_allclose(seen(loaded(tmp_path, data).mesh), [[1, 0, 0], [0, 0, 1]], atol=1e-6)


def test_a_picture_of_the_gloss_is_named_and_says_nothing_about_roughness(tmp_path):
    writer = Writer()
    look = glossy(specularGlossinessTexture={"index": 0})
    data = writer.glb([writer.quad(material=0, colors=GREEN)], materials=[look], **writer.pictures(RED))
    found = loaded(tmp_path, data)
    assert "roughness_factor" not in found.mesh.surface.factors
    assert any("its specular colour and gloss" in line for line in found.report)


def test_the_newer_material_of_a_file_that_has_both_counts(tmp_path):
    writer = Writer()
    look = textured(0, roughnessFactor=0.5) | glossy(diffuseTexture={"index": 1}, diffuseFactor=[0, 0, 0, 1])
    data = writer.glb([writer.quad(material=0)], materials=[look], **writer.pictures(RED, plain(0, 0, 255)))
    found = loaded(tmp_path, data)
    np.testing.assert_allclose(seen(found.mesh), [[1, 0, 0]], atol=1e-6)
    assert found.mesh.surface.factors["roughness_factor"] == 0.5
