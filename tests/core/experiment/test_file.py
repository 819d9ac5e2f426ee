"""The one file of scenes and runs: complete or absent, checked, and files of release 0.1 are still read."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tbsd_pack.tbsd_core.configuration import to_plain
from tbsd_pack.tbsd_core.experiment import (
    NEWEST,
    Autosave,
    Experiment,
    StoredRun,
    default_config,
    load_scene,
    plain_config,
    read_file,
    read_newest,
    read_prior,
    resumed,
    save_scene,
    write_file,
)
from tbsd_pack.tbsd_core.experiment.file import FORMAT, MAX_EMBEDDED, MAX_TEXT, digest, previous
from tbsd_pack.tbsd_core.optim import Curves, OptimConfig, OptimState
from tbsd_pack.tbsd_core.optim.state_tensors import prefixed, state_tensors
from tbsd_pack.tbsd_core.scenes import ImageConfig, ImageScene, NeRFConfig, NeRFScene

CONFIG = {"seed": 3, "name": "häuschen"}


def save(folder: Path, step: int, keep_previous: bool = True) -> None:
    """A state whose pixels tell its step."""
    scene = ImageScene(ImageConfig(size=4))
    with torch.no_grad():
        scene.pixels.fill_(step)
    state = OptimState.create(scene, OptimConfig(n_steps=9))
    curves = Curves(list(range(step)), {"opacity": [0.1 * i for i in range(step)]}, {"render": 0.3}, 1)
    run = StoredRun(CONFIG, step, 0, state_tensors(state), curves)
    write_file(folder / NEWEST, scene, run, keep_previous)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes: writing fails midway, as where space ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def started(n_steps: int = 9) -> Experiment:
    config = default_config("a brick house", "image", "sds", prior="exact", n_steps=n_steps, size=16)
    return Experiment(config, read_prior(config))


def test_everything_comes_back_and_the_one_before_is_kept(tmp_path):
    save(tmp_path, 2)
    save(tmp_path, 3)
    path = tmp_path / NEWEST
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST, previous(path).name}
    found = read_newest(tmp_path)
    assert (found.kind, found.run.step, found.run.config, found.warning) == ("image", 3, CONFIG, "")
    assert found.run.curves == Curves([0, 1, 2], {"opacity": [0.0, 0.1, 0.2]}, {"render": 0.3}, 1)
    assert torch.equal(found.scene().pixels, torch.full((1, 3, 4, 4), 3.0))
    path.unlink()
    assert read_newest(path).run.step == 2, "by its name as well as by its folder"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_a_file_that_was_read_is_not_held(tmp_path):
    """Windows lets nobody replace a file while it is mapped into memory."""
    save(tmp_path, 1)
    stored = read_file(tmp_path / NEWEST)
    assert stored.tensors and str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_the_graph_lies_beside_what_the_checksum_covers_and_never_stops_a_save(tmp_path, caplog):
    scene, path = ImageScene(ImageConfig(size=4)), tmp_path / "a.safetensors"

    def metadata(extra: dict[str, str]) -> dict[str, str]:
        write_file(path, scene, extra=extra)
        assert read_file(path).kind == "image"
        with safe_open(str(path), framework="pt") as file:
            return file.metadata()

    plain = metadata({})
    graph = {"workflow": '{"nodes": "häuschen \\ud800"}', "prompt": "{}"}
    assert metadata(graph) == {**plain, **graph} and not caplog.records
    assert metadata({"tbsd": "another", "notes": "a"}) == plain, "what it is not for"
    large = '"' * (MAX_EMBEDDED // 2)  # each takes two bytes of the header, and two more enclose them
    assert metadata({"workflow": large, "prompt": "{}"}) == {**plain, "prompt": "{}"}
    assert "a.safetensors is written without its workflow" in caplog.text
    assert metadata({"workflow": large[2:], "prompt": "{}"}) == {**plain, "workflow": large[2:]}
    assert int.from_bytes(path.read_bytes()[:8], "little") < 4 * 2**20 - 8 - MAX_TEXT, "what ComfyUI reads of it"
    save_file({}, str(path), metadata={**plain, "notes": large})
    with pytest.raises(ValueError, match="more than 1000000 characters"):
        read_file(path)


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
        found = read_newest(tmp_path)
        assert found.run.step == 2 and "step 2" in found.warning and str(path) in found.warning
    previous(path).write_bytes(b"")
    with pytest.raises(ValueError, match="Start the run again"):
        read_newest(tmp_path)


def test_the_first_save_of_a_run_never_takes_the_place_of_a_good_previous_one(tmp_path):
    """After a fall-back the newest file is the damaged one: it must not become the previous one."""
    save(tmp_path, 2)
    save(tmp_path, 3)
    (tmp_path / NEWEST).write_bytes(b"damaged")
    save(tmp_path, 4, keep_previous=False)
    assert {p.name for p in tmp_path.iterdir()} == {NEWEST} and read_newest(tmp_path).run.step == 4


def test_a_disk_that_is_full_does_not_end_the_run_and_keeps_the_last_state(tmp_path):
    save(tmp_path, 2)
    before = (tmp_path / NEWEST).read_bytes()
    experiment, said = started(), []
    autosave = Autosave(tmp_path / NEWEST, experiment, 0, True, say=said.append)
    with full_disk():
        autosave()
    assert len(said) == 1 and "could not be written" in said[0] and "The run continues" in said[0]
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]
    experiment.state.step = 5
    autosave()  # there is space again
    assert read_newest(tmp_path).run.step == 5 and len(said) == 1


def test_a_disk_that_is_full_at_the_end_is_an_error_that_says_what_is_kept(tmp_path):
    autosave = Autosave(tmp_path / NEWEST, started(), 1000)
    with pytest.raises(OSError, match="Nothing is saved yet. Free space, then resume"), full_disk():
        autosave.finish()


def test_a_scene_that_is_in_no_run_has_none(tmp_path):
    scene = NeRFScene(NeRFConfig(resolutions=(5,), seed=4))
    save_scene(scene, tmp_path / "a.safetensors")
    found = read_file(tmp_path / "a.safetensors")
    assert found.run is None and found.kind == "nerf"
    loaded = load_scene(tmp_path / "a.safetensors")
    assert loaded.config == scene.config
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in scene.state_dict().items())
    with pytest.raises(ValueError, match="without a run"):
        resumed(found, started().config, started().prior)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "neither a scene nor a run"),
        ({"format": "pt"}, "neither a scene nor a run"),
        ({"tbsd": "{}"}, "checksum"),
        ({"format": "tbsd-scene-1", "scene": "cloud", "config": "{}"}, "kind 'cloud'"),
        ({"format": "tbsd-scene-1", "scene": "image", "config": "["}, "not JSON"),
        ({"run": "{}"}, "checksum"),
    ],
)
def test_other_files_are_refused_with_a_sentence(metadata, message, tmp_path):
    save_file({"x": torch.zeros(2)}, str(tmp_path / "a.safetensors"), metadata=metadata)
    with pytest.raises(ValueError, match=message):
        read_file(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "about",
    [
        {"format": "tbsd-experiment-9", "scene": {}, "run": None},
        {"format": "tbsd-experiment-3", "scene": {"kind": "cloud", "config": {}}, "run": None},
        {"format": "tbsd-experiment-3", "scene": {"kind": ["image"], "config": {}}, "run": None},
        {"format": "tbsd-experiment-3", "scene": {"kind": "image", "config": {}}, "run": {"step": -1}},
        {
            "format": "tbsd-experiment-3",
            "scene": {"kind": "image", "config": {}},
            "run": {"step": -1, "bad_steps": 0, "config": {}},
        },
        {
            "format": "tbsd-experiment-3",
            "scene": {"kind": "image", "config": {}},
            "run": {"step": 1, "bad_steps": 0, "config": {}, "seconds": {"a": "b"}},
        },
        {"format": "tbsd-experiment-3", "scene": [], "run": None},
        [],
    ],
)
def test_a_right_checksum_does_not_make_a_file_right(about, tmp_path):
    """Whoever changes a file can write its checksum, too."""
    text, tensors = json.dumps(about), {"scene.pixels": torch.zeros(1, 3, 64, 64)}
    metadata = {"tbsd": text, "sha256": digest(text, tensors)}
    save_file(tensors, str(tmp_path / "a.safetensors"), metadata=metadata)
    with pytest.raises(ValueError, match="a.safetensors"):
        read_file(tmp_path / "a.safetensors")


@pytest.mark.parametrize("series", [torch.zeros(3), torch.zeros(2, 2), torch.zeros(())])
def test_curves_that_do_not_fit_the_steps_are_damage(series, tmp_path):
    about = {"format": FORMAT, "scene": {"kind": "image", "config": {}}}
    text = json.dumps(about | {"run": {"step": 2, "bad_steps": 0, "config": {}}})
    tensors = {"scene.pixels": torch.zeros(1), "curves.steps": torch.arange(2), "curves.series.a": series}
    save_file(tensors, str(tmp_path / "a.safetensors"), metadata={"tbsd": text, "sha256": digest(text, tensors)})
    with pytest.raises(ValueError, match="curves do not fit its steps"):
        read_file(tmp_path / "a.safetensors")


def test_a_checkpoint_of_the_command_line_of_release_0_1_goes_on_bit_for_bit(tmp_path):
    whole, part = started(4), started(4)
    for _ in whole.steps():
        pass
    steps = part.steps()
    next(steps), next(steps)
    stored = part.stored()
    tensors = {**prefixed("scene", part.scene.state_dict()), **stored.tensors}
    tensors |= prefixed("curves", part.curves.to_tensors())
    config = plain_config(part.config)
    config["mesh"]["place"] = config["mesh"].pop("placement")
    config["prompt"].pop("ready_made")
    curves = {"seconds": part.curves.seconds, "skipped_steps": 0}
    text = json.dumps({"format": 2, "step": 2, "bad_steps": 0, "config": config, "curves": curves})
    path = tmp_path / NEWEST
    save_file(tensors, str(path), metadata={"run": text, "sha256": digest(text, tensors)})
    found = read_newest(tmp_path)
    assert found.run.curves.steps == [0, 1]
    again, changed = resumed(found, part.config, part.prior)
    for _ in again.steps():
        pass
    assert torch.equal(again.scene.pixels, whole.scene.pixels)


def test_a_scene_file_of_comfyui_of_release_0_1_goes_on_bit_for_bit(tmp_path):
    whole, part = started(4), started(4)
    for _ in whole.steps():
        pass
    steps = part.steps()
    next(steps), next(steps)
    optim = to_plain(part.config.optim)
    about = json.dumps({"format": "tbsd-run-1", "step": 2, "bad_steps": 0, "config": optim})
    metadata = {"format": "tbsd-scene-1", "scene": "image", "config": json.dumps(to_plain(part.scene.config))}
    tensors = {k: v.detach() for k, v in part.scene.state_dict().items()}
    tensors |= {f"attached.{k}": v for k, v in part.stored().tensors.items()}
    save_file(tensors, str(tmp_path / "a.safetensors"), metadata={**metadata, "attached": about})
    again, changed = resumed(read_file(tmp_path / "a.safetensors"), part.config, part.prior)
    assert changed == []
    for _ in again.steps():
        pass
    assert torch.equal(again.scene.pixels, whole.scene.pixels)
