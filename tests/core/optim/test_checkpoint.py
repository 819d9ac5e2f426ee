from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.optim import Autosave, Curves, OptimConfig, OptimState, load_checkpoint, read_checkpoint
from tbsd_pack.tbsd_core.optim.checkpoint import NEWEST, PREVIOUS, save_checkpoint
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene

CONFIG = {"seed": 3, "name": "häuschen"}


def scene_and_state() -> tuple[ImageScene, OptimState]:
    scene = ImageScene(ImageConfig(size=4))
    return scene, OptimState.create(scene, OptimConfig(n_steps=9))


def save(folder: Path, step: int, **more) -> None:
    """A state whose pixels tell its step."""
    scene, state = scene_and_state()
    with torch.no_grad():
        scene.pixels.fill_(step)
    state.step = step
    curves = Curves(list(range(step)), {"opacity": [0.1 * i for i in range(step)]}, {"render": 0.3}, 1)
    save_checkpoint(folder, scene, state, CONFIG, curves, **more)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes: writing fails midway, as where space ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_everything_comes_back_and_the_one_before_is_kept(tmp_path):
    save(tmp_path, 2)
    save(tmp_path, 3)
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST, PREVIOUS}
    scene, state = scene_and_state()
    found = load_checkpoint(tmp_path, scene, state)
    assert (state.step, found.config, found.warning) == (3, CONFIG, "")
    assert found.curves == Curves([0, 1, 2], {"opacity": [0.0, 0.1, 0.2]}, {"render": 0.3}, 1)
    (tmp_path / NEWEST).unlink()
    assert read_checkpoint(tmp_path).step == 2


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path):
    save(tmp_path, 2)
    save(tmp_path, 3)
    path = tmp_path / NEWEST
    content = path.read_bytes()
    draw = random.Random(0)
    for trial in range(400):
        damaged = bytearray(content)
        if trial % 4 == 0:
            damaged = damaged[: draw.randrange(len(content))]
        else:
            damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = read_checkpoint(tmp_path)
        assert found.step == 2 and "step 2" in found.warning and str(path) in found.warning
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(ValueError, match="Start the run anew"):
        read_checkpoint(tmp_path)


def test_the_first_save_of_a_run_never_takes_the_place_of_a_good_previous_one(tmp_path):
    """After a fall-back the newest file is the damaged one: it must not become the previous one."""
    save(tmp_path, 2)
    save(tmp_path, 3)
    (tmp_path / NEWEST).write_bytes(b"damaged")
    save(tmp_path, 4, keep_newest=False)
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST} and read_checkpoint(tmp_path).step == 4


def test_a_disk_that_is_full_does_not_end_the_run_and_keeps_the_last_state(tmp_path):
    save(tmp_path, 2)
    before = (tmp_path / NEWEST).read_bytes()
    scene, state = scene_and_state()
    said: list[str] = []
    autosave = Autosave(tmp_path, scene, state, CONFIG, Curves(), 0, True, said.append)
    with full_disk():
        autosave()
    assert len(said) == 1 and "could not be written" in said[0] and "The run goes on" in said[0]
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]
    state.step = 5
    autosave()  # there is space again
    assert read_checkpoint(tmp_path).step == 5 and len(said) == 1


def test_a_disk_that_is_full_at_the_end_is_an_error_that_says_what_is_kept(tmp_path):
    scene, state = scene_and_state()
    autosave = Autosave(tmp_path, scene, state, CONFIG, Curves(), 1000)
    with pytest.raises(OSError, match="Nothing is saved yet. Free space, then resume"), full_disk():
        autosave.finish()
