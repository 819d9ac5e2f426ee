from __future__ import annotations

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.atomic import atomic_path
from tbsd_pack.tbsd_core.media import read_cutout, read_mask, write_mp4, write_png, write_strip
from tbsd_pack.tbsd_core.optional import require


def test_png_round_trip(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    read = np.asarray(pil.open(write_png(image, tmp_path / "a.png")))
    assert read.shape == (5, 7, 3)
    assert np.abs(read / 255 - image.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6


def test_strip_puts_images_in_rows(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    images = torch.stack([torch.full((3, 2, 2), v) for v in (0.0, 0.2, 0.4)])
    read = np.asarray(pil.open(write_strip(images, tmp_path / "a.png", columns=2)))
    assert read[::2, ::2, 0].tolist() == [[0, 51], [102, 255]]


def test_a_photograph_on_its_side_is_read_upright(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2] = 255
    turned = pil.Exif()
    turned[0x0112] = 6  # shown turned to the right: its top is on the right
    pil.fromarray(pixels).save(tmp_path / "a.png", exif=turned)
    shown = torch.zeros(6, 4)
    shown[:, 2:] = 1
    rgb, _ = read_cutout(tmp_path / "a.png")
    assert torch.equal(rgb[0, 0], shown) and torch.equal(read_mask(tmp_path / "a.png"), shown)


def test_mp4_has_the_frames_at_even_size(tmp_path):
    av = pytest.importorskip("av")
    frames = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 3, 33, 47)
    path = write_mp4(frames, tmp_path / "a.mp4", fps=12)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (46, 32, "h264")
        assert stream.codec_context.pix_fmt == "yuv420p" and stream.average_rate == 12
        means = [frame.to_ndarray(format="rgb24").mean() / 255 for frame in container.decode(stream)]
    assert means == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1], abs=0.03)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_wrong_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="write_mp4"):
        write_mp4(torch.zeros(3, 8, 8), tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="write_png"):
        write_png(torch.zeros(8, 8, 3), tmp_path / "a.png")


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("half way")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_missing_package_names_the_pip_line():
    with pytest.raises(ImportError, match="pip install no-such-package"):
        require("no_such_package.part", "no-such-package")
    assert require("math").pi > 3
