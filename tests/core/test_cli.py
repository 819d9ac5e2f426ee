from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, with_camera_preset
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.commands.bar import RunBar
from tbsd_pack.tbsd_core.configuration import all_settings
from tbsd_pack.tbsd_core.experiment import (
    Experiment,
    config_from_plain,
    default_config,
    read_newest,
    read_prior,
    results,
    run,
)
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.mesh import ExportConfig, MeshConfig
from tbsd_pack.tbsd_core.mesh.bake import BakeConfig
from tbsd_pack.tbsd_core.priors.small_world.captions import describe_vocabulary
from tbsd_pack.tbsd_core.scenes import SCENES
from tiny_pipelines import save_pipeline

ROOT = Path(__file__).resolve().parents[2]
STATISTICS = {"saturation", "colourfulness", "contrast", "sharpness"}
METRICS_2D = STATISTICS | {
    "identity_shape",
    "identity_material",
    "patch_distance",
    "patch_coverage",
    "saturation_ratio",
    "silhouette_iou",
    "high_frequency_ratio",
}
SMALL_MESH = ExportConfig(
    faces=300, texture=64, surface=MeshConfig(resolution=16), bake=BakeConfig(views=2, elevations=(15.0,), size=16)
)
COMMON_FILES = {"run.json", "checkpoint.safetensors", "curves.json", "curves.png"}


def call(*arguments: object) -> int:
    """Exit code of one call, whether it returns or exits."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as error:
        return int(error.code or 0)


def image_run(out: Path, *more: object) -> list[object]:
    return ["run", "--prompt", "a brick house", "--scene", "image", "--size", 32, "--out", out, *more]


def same_result(folder: Path, other: Path) -> None:
    """The state to the last bit, and the picture."""
    a, b = read_newest(folder).tensors, read_newest(other).tensors
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a if not k.startswith("curves."))
    assert (folder / "image.png").read_bytes() == (other / "image.png").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An uninterrupted image run of 4 steps."""
    out = tmp_path_factory.mktemp("finished")
    assert call(*image_run(out, "--steps", 4, "--seed", 5)) == 0
    return out


BAD_ARGUMENTS = {
    "unknown word": (["--prompt", "a brick dragon"], "'dragon'"),
    "unknown method": (["--prompt", "a cube", "--method", "magic"], "Unknown method 'magic'; choose one of"),
    "unknown scene": (["--prompt", "a cube", "--scene", "voxels"], "Unknown scene 'voxels'; choose one of"),
    "unknown prior": (["--prompt", "a cube", "--prior", "large"], "Unknown prior 'large'; choose one of"),
    "no steps": (["--prompt", "a cube", "--steps", "0"], "n_steps must be >= 1, got 0"),
    "steps not a number": (["--prompt", "a cube", "--steps", "many"], "--steps"),
    "no prompt": ([], "--prompt is missing"),
    "size that does not fit": (["--prompt", "a cube", "--size", "30"], "a multiple of 4 for the demo models, got 30"),
    "no such device": (["--prompt", "a cube", "--device", "abacus"], "The device 'abacus' cannot be used"),
    "demo model in half": (["--prompt", "a cube", "--dtype", "float16"], "demo models compute in float32"),
    "unknown dtype": (["--prompt", "a cube", "--dtype", "float8"], "dtype must be one of float32, float16, bfloat16"),
    "set without a value": (["--prompt", "a cube", "--set", "optim.lr"], "--set needs KEY=VALUE, got 'optim.lr'"),
    "set of no setting": (["--prompt", "a cube", "--set", "optim.speed=1"], "no setting 'speed'"),
    "set out of range": (["--prompt", "a cube", "--set", "optim.lr=-1"], "lr must be > 0"),
    "set of a wrong kind": (["--prompt", "a cube", "--set", "optim.n_steps=x"], "must be of type int, got 'x'"),
    "no checkpoint": (["--resume", "nowhere"], "no checkpoint in nowhere"),
}


@pytest.mark.parametrize("arguments, message", BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_bad_arguments_end_with_code_2_one_message_and_no_files(arguments, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert call("run", "--out", out, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert error.count("tbsd_core") == 1
    if "dragon" not in message:  # that message continues with the vocabulary
        assert len(error.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--prompt", "a cube"], ["run", "--out"]])
def test_bad_commands_end_with_code_2_and_one_sentence(arguments, capsys):
    assert call(*arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_corrupt_checkpoint_is_refused_and_nothing_written(finished, tmp_path, capsys):
    broken, out = tmp_path / "broken", tmp_path / "out"
    broken.mkdir()
    content = (finished / "checkpoint.safetensors").read_bytes()
    (broken / "checkpoint.safetensors").write_bytes(content[: len(content) // 2])
    assert call("run", "--resume", broken, "--out", out) == 2
    error = capsys.readouterr().err
    assert str(broken) in error and "Traceback" not in error
    assert not out.exists()


def test_resuming_with_another_prompt_is_refused(finished, tmp_path, capsys):
    assert call("run", "--resume", finished, "--prompt", "a cube", "--out", tmp_path / "out") == 2
    assert "'a brick house'" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name, value", [("--steps", 9), ("--size", 64)])
def test_options_of_a_new_run_are_refused_when_resuming(finished, tmp_path, capsys, name, value):
    assert call("run", "--resume", finished, name, value, "--out", tmp_path / "out") == 2
    assert f"{name} is for a new run" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("begin", ["--resume", "--from"])
@pytest.mark.parametrize("option", [("--seed", 9), ("--method", "sds"), ("--scene", "latent"), ("--keep-colors",)])
def test_options_without_an_effect_are_refused(finished, tmp_path, capsys, begin, option):
    source = finished if begin == "--resume" else finished / "run.json"
    assert call("run", begin, source, *option, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"leave out {option[0]}, which would have no effect" in said and not (tmp_path / "out").exists()


def test_a_repeated_run_may_be_on_another_device(finished, tmp_path, capsys):
    assert call("run", "--from", finished / "run.json", "--device", "nowhere", "--out", tmp_path / "out") == 2
    assert "'nowhere'" in capsys.readouterr().err


def test_a_run_that_has_not_ended_is_not_replaced(finished, tmp_path, capsys):
    shutil.copy(finished / "checkpoint.safetensors", tmp_path)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert call("run", "--prompt", "a brick house", "--scene", "latent", "--steps", 2, "--out", tmp_path) == 2
    assert f"run --resume {tmp_path}" in capsys.readouterr().err
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("checkpoint.safetensors", before)]


@pytest.mark.parametrize("wrong", [("--set", "optim.latent_until=0.5"), ("--autosave", -1)])
def test_a_refused_run_leaves_the_results_of_the_one_before(finished, tmp_path, wrong):
    shutil.copytree(finished, tmp_path / "run")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    options = ("--prompt", "a brick house", "--scene", "image", "--size", 32, "--steps", 2)
    assert call("run", *options, *wrong, "--out", tmp_path / "run") == 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def test_a_scene_follows_from_settings_of_its_size_and_seed(tmp_path, capsys):
    options = ("run", "--prompt", "a brick house", "--scene", "latent", "--out", tmp_path)
    assert call(*options, "--set", "optim.size=32", "--set", "optim.seed=5", "--set", "help") == 0
    said = capsys.readouterr().out
    assert "scene.size=8\n" in said and "scene.seed=5\n" in said
    assert call(*options, "--set", "optim.seed=5", "--set", "scene.seed=2", "--set", "help") == 0
    assert "scene.seed=2\n" in capsys.readouterr().out


def test_analyses_refuse_methods_that_have_nothing_to_edit(tmp_path, capsys):
    assert call("overtime", "--prompt", "a brick house", "--methods", "dds", "--steps", 1, "--out", tmp_path) == 2
    assert "edits an existing scene" in capsys.readouterr().err


def test_the_bar_begins_where_a_resumed_run_does(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    config = default_config("a brick house", "latent", n_steps=1)
    record = next(iter(Experiment(config, read_prior(config)).steps()))
    bar = RunBar(10_000, "tbsd")
    bar.say("before the first step")
    with bar:
        bar.on_step(replace(record, step=9_000, n_steps=10_000))
        assert (bar.bar.initial, bar.bar.n, bar.bar.miniters) == (9_000, 9_001, 1)
    assert "before the first step" in sys.stderr.getvalue()


def test_a_run_resumes_on_the_model_that_is_named(finished, tmp_path):
    out = tmp_path / "out"
    assert call("run", "--resume", finished, "--more", 1, "--prior", "multiview", "--out", out) == 0
    assert json.loads((out / "run.json").read_text())["config"]["prior"] == "multiview"


def test_the_module_runs_from_the_repository(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tbsd_core", "run", "--prompt", "a glass dragon", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stdout == ""
    assert "'glass', 'dragon'" in done.stderr and "Traceback" not in done.stderr
    assert not out.exists()


def test_methods_and_vocabulary_are_listed(capsys):
    assert call("methods") == 0
    listed = capsys.readouterr().out
    assert "is: --method sds --set guidance.guidance_scale=101.0 --set guidance.weighting=uniform" in listed
    assert all(f"{name}\n" in listed and method.summary in listed for name, method in METHODS.items())
    assert call("vocabulary") == 0
    assert capsys.readouterr().out.strip() == describe_vocabulary()


def test_one_method_is_shown_with_its_settings(capsys):
    assert call("methods", "tbsd") == 0
    shown = capsys.readouterr().out
    spec = METHODS["tbsd"]
    assert spec.equation in shown and spec.paper in shown and METHODS["sds"].summary not in shown
    assert all(f"  guidance.{name} = " in shown for name in all_settings(spec.config()))
    assert "guidance.balance.schedule.start = 1.0  in [0, 1]\n      Share of the shape at the start" in shown
    assert "guidance.texture_scale = null  > 0\n" in shown and "of \"fixed\"" in shown
    assert call("methods", "dreamfusion") == 2
    assert "known methods: sds, csd" in capsys.readouterr().err


def test_set_reaches_settings_and_help_lists_them(tmp_path, capsys):
    arguments = image_run(tmp_path / "out", "--set", "guidance.guidance_scale=25", "--set", "help")
    assert call(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "guidance.guidance_scale=25.0" in lines and "optim.n_steps=250" in lines
    assert not (tmp_path / "out").exists()


def test_an_image_run_writes_its_files(finished):
    report = json.loads((finished / "run.json").read_text())
    found = {p.name for p in finished.iterdir()} - {"checkpoint.previous.safetensors"}  # of a run above 30 seconds
    assert found == COMMON_FILES | {"image.png"} == set(report["files"])
    assert set(report["metrics"]) == METRICS_2D
    assert all(0 <= report["metrics"][f"identity_{k}"] <= 1 for k in ("shape", "material"))
    assert config_from_plain(report["config"]).optim.seed == 5
    assert report["versions"]["torch"] == torch.__version__
    assert report["seconds"]["phases"] and report["seconds"]["total"] >= report["seconds"]["optimize"] > 0


def test_a_camera_preset_reaches_the_run(tmp_path, capsys):
    assert call("run", "--prompt", "a brick house", "--cameras", "eye level", "--out", tmp_path, "--set", "help") == 0
    assert "cameras.elevation_max=20.0" in capsys.readouterr().out
    given = with_camera_preset(CameraConfig(distance=1.5, fov_y=55.0, elevation_max=70.0), "eye level")
    assert (given.distance, given.fov_y, given.elevation_max) == (1.5, 55.0, 20.0), "a preset leaves the lens alone"
    assert call("run", "--prompt", "a brick house", "--cameras", "below", "--out", tmp_path) == 2
    assert "Unknown camera preset" in capsys.readouterr().err


def test_a_nerf_run_writes_mesh_and_turntable(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "TURNTABLE_SIZE", 32)
    monkeypatch.setattr(results, "EVALUATION_VIEWS", 8)
    monkeypatch.setattr(results, "MESH", SMALL_MESH)
    small = ["--set", "scene.n_samples=24", "--set", "scene.occupancy_resolution=16", "--set", "optim.views_per_step=1"]
    arguments = ["run", "--prompt", "a brick house", "--steps", 2, "--size", 32, "--out", tmp_path, *small]
    assert call(*arguments) == 0
    report = json.loads((tmp_path / "run.json").read_text())
    written = {p.name for p in tmp_path.iterdir()}
    assert written == COMMON_FILES | {"views.png", "mesh.glb", "turntable.mp4", "turntable.png"} == set(report["files"])
    in_3d = {"mask_iou", "occupancy_iou", "view_error", "janus", "view_repetition"}
    assert set(report["metrics"]) == METRICS_2D | in_3d
    assert (tmp_path / "mesh.glb").read_bytes()[:4] == b"glTF"
    assert report["mesh"]["texture"] == 64 and report["mesh"]["warnings"] == []
    export = ["export", "--run", tmp_path, "--texture", 64, "--faces", 200, "--views", 2, "--format"]
    assert call(*export, "obj") == 0
    assert {"mesh.obj", "mesh.mtl", "mesh_texture.png"} <= {p.name for p in tmp_path.iterdir()}
    assert call(*export, "stl") == 2 and call("export", "--run", tmp_path / "nowhere") == 2


def test_a_run_without_a_surface_keeps_everything_else_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "TURNTABLE_SIZE", 32)
    monkeypatch.setattr(results, "EVALUATION_VIEWS", 8)
    empty = ["--set", "scene.n_samples=12", "--set", "scene.blob_strength=0", "--set", "scene.empty_logit=-200"]
    arguments = ["run", "--prompt", "a brick house", "--steps", 1, "--size", 32, "--out", tmp_path, *empty]
    assert call(*arguments, "--set", "optim.views_per_step=1") == 0
    report = json.loads((tmp_path / "run.json").read_text())
    assert {p.name for p in tmp_path.iterdir()} == COMMON_FILES | {"views.png", "turntable.mp4", "turntable.png"}
    assert "the scene is empty" in report["mesh"]["error"]
    assert "There is no mesh.glb" in capsys.readouterr().err


def test_an_interrupted_run_resumes_bit_equal(finished, tmp_path):
    config = default_config("a brick house", scene="image", n_steps=4, seed=5, size=32)

    def stop(record) -> None:
        if record.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, on_step=stop)
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.safetensors"}
    assert read_newest(tmp_path).run.step == 2
    assert call("run", "--resume", tmp_path, "--out", tmp_path) == 0
    same_result(tmp_path, finished)
    resumed, whole = (json.loads((folder / "curves.json").read_text()) for folder in (tmp_path, finished))
    assert resumed["steps"] == whole["steps"] == [0, 1, 2, 3] and resumed["series"] == whole["series"]


def test_an_unfinished_run_is_replaced_by_nothing(finished, tmp_path, capsys):
    """Neither by stages, nor by the repetition or the continuation of another run."""
    config = default_config("a brick house", scene="image", n_steps=4, seed=7, size=32)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, on_step=interrupt)
    state = (tmp_path / "checkpoint.safetensors").read_bytes()
    for given in (
        ["--stages", "--prompt", "a brick house"],
        ["--from", finished / "run.json"],
        ["--resume", finished, "--more", 1],
        ["--prompt", "a brick house"],
    ):
        assert call("run", *given, "--out", tmp_path) == 2
        assert "holds a run that has not ended" in capsys.readouterr().err
    assert call("demo", "--out", tmp_path) == 2
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == state


def test_a_run_that_ends_before_its_first_step_leaves_the_older_results(finished, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    monkeypatch.setattr(Experiment, "steps", interrupt)
    assert call("run", "--prompt", "a cube", "--scene", "image", "--size", 32, "--out", tmp_path / "run") == 130
    assert "interrupted; nothing was done yet" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def interrupt(*arguments) -> None:
    raise KeyboardInterrupt


def test_a_prompt_without_one_object_runs_without_metrics(tmp_path, capsys):
    assert call("run", "--prompt", "brick", "--scene", "image", "--size", 32, "--steps", 1, "--out", tmp_path) == 0
    assert json.loads((tmp_path / "run.json").read_text())["metrics"].keys() == STATISTICS
    assert "no ground truth" in capsys.readouterr().out


def test_the_config_in_run_json_is_the_whole_configuration(finished):
    config = config_from_plain(json.loads((finished / "run.json").read_text())["config"])
    expected = default_config("a brick house", scene="image", n_steps=4, seed=5, size=32)
    assert dataclasses.asdict(config) == dataclasses.asdict(expected)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pipelines")
    for family in ("sd", "sdxl"):
        save_pipeline(folder / family, family)
    return folder


def pipeline_run(folder: Path, out: Path, *more: object) -> list[object]:
    prior = ["--prior", f"diffusers:{folder}", "--device", "cpu"]
    return ["run", *prior, "--prompt", "a glass dragon", "--out", out, *more]


def test_a_run_on_a_pipeline_needs_no_vocabulary_and_has_no_truth(pipelines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(pipelines)
    assert call(*pipeline_run(Path("sd"), tmp_path, "--scene", "image", "--size", 16, "--steps", 2)) == 0
    assert "no ground truth: a pipeline has none" in capsys.readouterr().out
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["metrics"].keys() == STATISTICS and "image.png" in report["files"]
    assert report["config"]["prior"] == f"diffusers:{pipelines / 'sd'}"
    assert report["config"]["guidance"]["guidance_scale"] == 40.0, "the preset of a real checkpoint"


def test_a_brick_house_of_a_pipeline_is_not_measured_either(pipelines, tmp_path):
    arguments = ["run", "--prior", f"diffusers:{pipelines / 'sd'}", "--prompt", "a brick house", "--scene", "image"]
    assert call(*arguments, "--size", 16, "--steps", 1, "--out", tmp_path) == 0
    assert json.loads((tmp_path / "run.json").read_text())["metrics"].keys() == STATISTICS


def test_the_memory_of_a_card_chooses_the_preset(pipelines, tmp_path, capsys):
    arguments = pipeline_run(pipelines / "sdxl", tmp_path / "none", "--scene", "nerf", "--set", "help")
    for more, n_views in (([], 4), (["--memory", "12"], 4), (["--memory", "8"], 2)):
        assert call(*arguments, *more) == 0
        assert f"optim.views_per_step={n_views}\n" in capsys.readouterr().out
    assert call(*arguments, "--memory", "7") == 2 and "--memory" in capsys.readouterr().err


def test_a_run_on_a_pipeline_resumes_bit_equal_from_another_folder(pipelines, tmp_path, monkeypatch):
    monkeypatch.chdir(pipelines)
    settings = dict(scene="latent", method="csd", n_steps=4, size=16, device="cpu")
    config = default_config("a glass dragon", prior="diffusers:sdxl", **settings)
    assert (config.scene.channels, config.scene.size) == (4, 8)
    run(config, tmp_path / "whole")

    def stop(record) -> None:
        if record.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "part", on_step=stop)
    monkeypatch.chdir(tmp_path)
    assert call("run", "--resume", tmp_path / "part", "--out", tmp_path / "part") == 0
    same_result(tmp_path / "part", tmp_path / "whole")


@pytest.mark.parametrize(
    "scene, size, seen", [("nerf", 64, 96), ("image", 64, 96), ("nerf", 128, None), ("latent", 64, None)]
)
def test_views_are_enlarged_to_the_size_that_a_pipeline_was_trained_at(pipelines, tmp_path, capsys, scene, size, seen):
    shutil.copytree(pipelines / "sd", tmp_path / "sd")
    network = tmp_path / "sd" / "unet" / "config.json"
    network.write_text(json.dumps(json.loads(network.read_text()) | {"sample_size": 48}))  # cells of 2 pixels
    config = default_config("a glass dragon", scene, prior=f"diffusers:{tmp_path / 'sd'}", size=size, device="cpu")
    assert (config.optim.size, config.optim.encode_size) == (size, seen)
    arguments = ["run", "--prior", f"diffusers:{tmp_path / 'sd'}", "--prompt", "a glass dragon", "--scene", scene]
    arguments += ["--device", "cpu", "--out", str(tmp_path / "out"), "--set", f"optim.size={size}", "--set", "help"]
    capsys.readouterr()
    assert call(*arguments) == 0
    assert f"optim.encode_size={seen}" in capsys.readouterr().out.splitlines(), "--set is like --size"


@pytest.mark.parametrize(
    "prior, message",
    [
        ("diffusers:/no/such/folder", "There is no file or folder '/no/such/folder'"),
        ("diffusers:nobody/no-such-pipeline", "--allow-download fetches it"),
    ],
)
def test_a_pipeline_that_is_not_there_is_one_sentence(prior, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert call("run", "--prior", prior, "--prompt", "a cube", "--out", out) == 1
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1 and not out.exists()


def test_a_size_that_does_not_fit_a_pipeline_is_refused(pipelines, tmp_path, capsys):
    out = tmp_path / "out"
    assert call(*pipeline_run(pipelines / "sd", out, "--scene", "image", "--set", "optim.encode_size=15")) == 2
    assert "multiple of 2" in capsys.readouterr().err and not out.exists()


def test_presets_are_listed_with_their_sources(capsys):
    assert call("presets", "--family", "sd15", "--scene", "nerf", "--method", "sds") == 0
    assert "guidance.guidance_scale = 101.0  (DreamFusion, arXiv:2209.14988" in capsys.readouterr().out
    assert call("presets", "--family", "sd9") == 2


@pytest.mark.parametrize("command", ["run", "presets", "compare", "vary"])
def test_the_help_names_every_scene(command, capsys):
    assert call(command, "--help") == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(SCENES) <= set(words)
