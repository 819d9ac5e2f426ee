"""Splats read from files of any origin, and scenes that start from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.experiment.file import load_scene, save_scene
from tbsd_pack.tbsd_core.placement import SplatPlacementConfig
from tbsd_pack.tbsd_core.renderer.splatting import Splats
from tbsd_pack.tbsd_core.scenes import GaussianConfig, GaussianScene, splat_read
from tbsd_pack.tbsd_core.scenes.splat_frame import TURNED_OVER, moved, quaternion
from tbsd_pack.tbsd_core.scenes.splat_ply import write_splats
from tbsd_pack.tbsd_core.scenes.splat_read import read_splats
from tbsd_pack.tbsd_core.scenes.splat_start import file_splats, scene_of_splats


@pytest.fixture
def splats() -> Splats:
    """Wide and flat ones, turned every way, away from the origin."""
    generator = torch.Generator().manual_seed(0)
    r = torch.randn(50, 12, generator=generator)
    return Splats(
        r[:, :3] + torch.tensor([4.0, 0, -1]),
        F.normalize(r[:, 3:7], dim=-1),
        (r[:, 7:10] * 0.5 - 2).exp(),
        torch.full((50,), 0.8),
        torch.rand(50, 3, generator=generator) * 0.98 + 0.01,
    )


def same(a: Splats, b: Splats, atol: float = 1e-5) -> None:
    for name in ("means", "scales", "opacities", "colors"):
        assert torch.allclose(getattr(a, name), getattr(b, name), atol=atol), name
    turn = (F.normalize(a.quats, dim=-1) * F.normalize(b.quats, dim=-1)).sum(-1).abs()
    assert torch.allclose(turn, torch.ones_like(turn), atol=atol)


def test_a_file_holds_the_scene_turned_over(splats, tmp_path):
    """Every viewer takes splats to have +y down."""
    scene, _ = scene_of_splats(splats, GaussianConfig(bound=20.0), SplatPlacementConfig(up="y", radius=None))
    write_splats(file_splats(scene), tmp_path / "a.ply")
    read = read_splats((tmp_path / "a.ply").read_bytes(), "a.ply").splats
    assert torch.allclose(read.means, splats.means * torch.tensor([1.0, -1, -1]), atol=1e-5)


def test_a_start_is_placed_and_saved_where_it_was(splats):
    scene, notes = scene_of_splats(splats, place=SplatPlacementConfig(turn=40.0))
    assert notes == [] and scene.means.norm(dim=-1).max().item() == pytest.approx(0.9, abs=1e-4)
    same(file_splats(scene), splats)
    assert all(p.grad_fn is None and p.requires_grad for p in scene.parameters())


@pytest.mark.parametrize("up", ["-y", "y", "z"])
def test_what_is_up_stays_up(up):
    """A red splat above a blue one, in each frame."""
    axis = {"-y": [0.0, -1, 0], "y": [0.0, 1, 0], "z": [0.0, 0, 1]}[up]
    means = torch.tensor([axis, [-x for x in axis]])
    two = Splats(
        means, torch.tensor([[1.0, 0, 0, 0]] * 2), torch.full((2, 3), 0.1), torch.ones(2), torch.eye(3)[[0, 2]]
    )
    scene, _ = scene_of_splats(two, place=SplatPlacementConfig(up=up))
    view = scene.render(orbit(1, elevation=0), 32, 32)
    solid = view.opacity[0, 0] > 0.5
    top, bottom = (view.rgb[0][:, rows][:, solid[rows]].mean(-1) for rows in (slice(0, 16), slice(16, 32)))
    assert top.argmax() == 0 and bottom.argmax() == 2
    assert file_splats(scene).means[0, 1] < 0, "files have +y down"


def test_moved_splats_are_drawn_as_from_a_moved_camera(splats):
    """Covariances turn with the positions: R S S^T R^T."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0.5 * np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    if np.linalg.det(matrix[:3, :3]) < 0:
        matrix[:3, 0] *= -1
    matrix[:3, 3] = 1, 2, 3

    def covariance(s: Splats) -> torch.Tensor:
        w, x, y, z = F.normalize(s.quats, dim=-1).unbind(-1)
        rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
        rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
        rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
        axes = torch.stack(rows, -1).view(-1, 3, 3) * s.scales[:, None]
        return axes @ axes.mT

    m = torch.from_numpy(matrix[:3, :3]).float()
    assert torch.allclose(covariance(moved(splats, matrix)), m @ covariance(splats) @ m.T, atol=1e-5)
    same(moved(moved(splats, matrix), np.linalg.inv(matrix)), splats)
    same(moved(moved(splats, TURNED_OVER), TURNED_OVER), splats)
    assert torch.allclose(quaternion(np.diag([1.0, -1, -1])).abs(), torch.tensor([0.0, 1, 0, 0]).double(), atol=1e-9)


def test_faint_splats_around_the_object_are_dropped_and_told(splats):
    far = torch.tensor([[90.0, 0, 0]])
    with_floater = Splats(
        torch.cat([splats.means, far]),
        torch.cat([splats.quats, splats.quats[:1]]),
        torch.cat([splats.scales, splats.scales[:1]]),
        torch.cat([splats.opacities, torch.tensor([0.05])]),
        torch.cat([splats.colors, splats.colors[:1]]),
    )
    scene, notes = scene_of_splats(with_floater)
    assert scene.config.n_gaussians == 50 and notes == ["1 splats that are faint or far from the object dropped"]


def test_a_started_scene_is_saved_with_its_place(splats, tmp_path):
    scene, _ = scene_of_splats(splats)
    save_scene(scene, tmp_path / "a.safetensors")
    same(file_splats(load_scene(tmp_path / "a.safetensors")), splats)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [(0.0,) * 12, (1.0,) * 11, (float("nan"),) * 12])
def test_a_place_that_cannot_be_undone_is_refused(place):
    with pytest.raises(ValueError, match="place must be"):
        GaussianConfig(place=place)


def ply(header: str, rows: np.ndarray) -> bytes:
    return f"ply\nformat binary_little_endian 1.0\n{header}\nend_header\n".encode() + rows.tobytes()


def test_files_that_are_no_splats_are_refused_with_the_reason(splats, tmp_path):
    write_splats(splats, tmp_path / "a.ply")
    good = (tmp_path / "a.ply").read_bytes()
    xyz = "element vertex 2\nproperty float x\nproperty float y\nproperty float z"
    with pytest.raises(ValueError, match=r"without scale_0.*Mesh Texture Scene"):
        read_splats(ply(xyz, np.zeros(6, "<f4")), "b.ply")
    with pytest.raises(ValueError, match="cut off"):
        read_splats(good[:-1], "c.ply")
    with pytest.raises(ValueError, match="cut off"):
        read_splats(good.replace(b"vertex 50", b"vertex 999999999"), "d.ply")
    with pytest.raises(ValueError, match="binary_little_endian"):
        read_splats(good.replace(b"binary_little_endian", b"ascii"), "e.ply")
    with pytest.raises(ValueError, match="end_header"):
        read_splats(b"ply\n" + b"x" * 100, "f.ply")
    with pytest.raises(ValueError, match="no splats"):
        read_splats(good[: good.index(b"end_header\n") + 11].replace(b"vertex 50", b"vertex 0"), "g.ply")
    with pytest.raises(ValueError, match="Get Splat"):
        read_splats(b"\x1f\x8b" + b"x" * 62, "h.spz")
    for start in (b"NGSP", b"PK\x03\x04", b"glTF", b"<!DOCTYPE html>"):
        with pytest.raises(ValueError, match="not a splat file that this pack reads"):
            read_splats(start.ljust(64, b"\0"), "h.splat")
    with pytest.raises(ValueError, match="elements vertex, face"):
        read_splats(good.replace(b"end_header", b"element face 1\nend_header"), "i.ply")
    broken = bytearray(good)
    broken[-4:] = np.array([np.nan], "<f4").tobytes()
    with pytest.raises(ValueError, match="1 of the 50 splats"):
        read_splats(bytes(broken), "j.ply")


def test_a_scene_without_a_start_is_where_it_was():
    scene = GaussianScene(GaussianConfig(n_gaussians=20))
    assert torch.equal(file_splats(scene).means, scene.means.detach() * torch.tensor([1.0, -1, -1]))


def test_single_opaque_splats_far_away_do_not_shrink_the_object(splats):
    far = torch.tensor([[90.0, 0, 0]])
    fields = [torch.cat([x, x[:1]]) for x in (splats.quats, splats.scales, splats.opacities, splats.colors)]
    quats, scales, opacities, colors = fields
    with_floater = Splats(torch.cat([splats.means, far]), quats, scales, torch.ones_like(opacities), colors)
    scene, notes = scene_of_splats(with_floater)
    alone, _ = scene_of_splats(replace(splats, opacities=torch.ones_like(splats.opacities)))
    torch.testing.assert_close(scene.means, alone.means)
    assert notes == ["1 splats that are faint or far from the object dropped"]


def test_a_splat_file_may_begin_with_a_zero():
    """The lowest byte of the first place, as of every number that fits half a float."""
    record = np.zeros(3, splat_read.RECORD)
    record["xyz"], record["scale"], record["rgba"], record["quat"] = [[0.5, 1, 0.25]], 0.1, 200, 160
    data = record.tobytes()
    assert data[0] == 0
    assert read_splats(data, "a.splat").splats.means[0].tolist() == [0.5, 1, 0.25]
    with pytest.raises(ValueError, match="Get Splat"):
        read_splats(b"\0\1" + bytes(6000 - 6000 % 32 - 2), "a.ksplat")
