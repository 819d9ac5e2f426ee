"""NeRF, mesh and texture one after the other: killed, continued, and in the same colours."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.cli import main
from tbsd_pack.tbsd_core.commands.stages import assigned, begin_or_resume
from tbsd_pack.tbsd_core.experiment import MeshInput, default_config, make_scene, model_shape, read_newest, results, run
from tbsd_pack.tbsd_core.experiment.defaults import EXACT_SIZE, fitted
from tbsd_pack.tbsd_core.experiment.refine import as_at_the_end, extract, painting, refined, refining
from tbsd_pack.tbsd_core.experiment.stages import (
    STAGES,
    TEXTURE_SHARE,
    StagesConfig,
    default_stages,
    run_stages,
    stored_stages,
)
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.presets import preset
from tbsd_pack.tbsd_core.scenes import NeRFConfig, NeRFScene

NERF, MESH, TEXTURE = STAGES.values()
SMALL = [
    "optim.views_per_step=2",
    "nerf.scene.resolutions=[17]",
    "nerf.scene.n_samples=16",
    "texture.scene.resolutions=[17,33]",
    "mesh.surface.resolution=24",
    "mesh.faces=400",
    "mesh.texture=64",
    "mesh.bake.views=4",
    "mesh.bake.size=64",
]


def small_stages(seed: int = 0) -> StagesConfig:
    """Of a prompt that names no material: nothing is compared with the truth, which takes longer than the steps."""
    return assigned(default_stages("a house", prior="exact", n_steps=10, seed=seed, size=32), SMALL)


class Cut(Exception):
    """The process that is at a stage is gone."""


def interrupted(out: Path, at: tuple[int, int]) -> None:
    """Run until a stage (from 1) has done a step (from 0); of the second stage, which has none, until it begins."""
    now = 0

    def on_stage(number: int, name: str) -> None:
        nonlocal now
        now = number
        if at[0] == 2 and number == 3:  # it has ended, and its report is lost
            (out / MESH / "run.json").unlink()
            raise Cut

    def on_step(record) -> None:
        if (now, record.step) == at:
            raise Cut  # like a kill: `run` saves nothing for it

    resume = (out / "stages.json").exists()
    with pytest.raises(Cut):
        run_stages(small_stages(), out, resume, on_step, on_stage=on_stage, autosave_seconds=0, in_full=False)


@pytest.fixture(scope="module", autouse=True)
def few_views():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "TURNTABLE_SIZE", 32)
        patch.setattr(results, "EVALUATION_VIEWS", 8)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stages")
    run_stages(small_stages(), out, in_full=False)
    return out


def equal(a: Path, b: Path) -> bool:
    first, second = read_newest(a), read_newest(b)
    pairs = [(first.tensors, second.tensors), (first.run.tensors, second.run.tensors)]
    return all(x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in pairs)


def test_each_stage_has_its_files_and_the_result_is_a_mesh_with_a_texture(finished):
    assert {"run.json", "views.png", "checkpoint.safetensors"} <= {p.name for p in (finished / NERF).iterdir()}
    assert {"run.json", "mesh.glb"} <= {p.name for p in (finished / MESH).iterdir()}
    assert {"run.json", "views.png", "checkpoint.safetensors"} <= {p.name for p in (finished / TEXTURE).iterdir()}
    result, start = (load_mesh(path).mesh for path in (finished / "mesh.glb", finished / MESH / "mesh.glb"))
    assert result.texture.shape == (64, 64, 3) and len(result.faces) <= 400
    assert abs(result.vertices - start.vertices).max() < 1e-5, "nothing is moved"
    assert abs(result.texture - start.texture).mean() > 0.01, "it has been painted"
    about = json.loads((finished / "stages.json").read_text())
    assert about["evaluations"] == sum(
        json.loads((finished / f / "run.json").read_text())["evaluations"] for f in (NERF, TEXTURE)
    )
    assert all((finished / name).is_file() for name in about["files"])


def test_painting_begins_with_the_colours_of_the_nerf(tmp_path):
    """Of a solid ball that is red on one side and blue on the other."""
    nerf, config = NeRFScene(NeRFConfig(resolutions=(33,), n_samples=48)), small_stages()
    axis = torch.linspace(-1, 1, 33)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    (level,) = nerf.encoding.levels
    with torch.no_grad():
        level[0, 0] = 20 * (0.6 - (x**2 + y**2 + z**2).sqrt())
        level[0, 1:] = torch.stack([4 * x.sign(), -2 * torch.ones_like(x), -4 * x.sign()])
    extract(nerf, config.mesh, tmp_path / "ball.glb")
    painted = make_scene(fitted(painting(config.texture, tmp_path / "ball.glb"), model_shape("exact")))
    with torch.no_grad():
        a, b = (scene.render(orbit(8, 15.0), 32, 32) for scene in (nerf, painted))
    both = (a.opacity > 0.95) & (b.opacity > 0.95)
    assert both.float().mean() > 0.05
    means = [(r.rgb * both).sum((0, 2, 3)) / both.sum() for r in (a, b)]
    assert (means[0] - means[1]).abs().max() < 0.04
    assert ((a.rgb - b.rgb).abs() * both).sum() / both.sum() / 3 < 0.06
    assert (a.rgb[:, 0] - a.rgb[:, 2])[both[:, 0]].abs().mean() > 0.5, "it is coloured"


def test_stages_that_are_killed_end_as_if_nothing_had_happened(finished, tmp_path):
    for moment in [(1, 2), (1, 4), (2, 0), (3, 0), (3, 2)]:
        interrupted(tmp_path, moment)
    done: list[str] = []
    run_stages(small_stages(), tmp_path, True, on_stage=lambda number, name: done.append(name), in_full=False)
    assert done == list(STAGES)
    assert equal(tmp_path / NERF, finished / NERF) and equal(tmp_path / TEXTURE, finished / TEXTURE)
    assert (tmp_path / "mesh.glb").read_bytes() == (finished / "mesh.glb").read_bytes()


def test_what_has_ended_is_not_done_again(finished, tmp_path):
    out = tmp_path / "moved"
    shutil.copytree(finished, out)
    steps: list[int] = []
    run_stages(stored_stages(out), out, True, on_step=lambda record: steps.append(record.step), in_full=False)
    assert steps == []
    for path in (out / NERF / "run.json", out / TEXTURE / "run.json"):
        report = json.loads(path.read_text())
        del report["config"]["rehearsal_noise"]  # as of a version that did not have it
        path.write_text(json.dumps(report))
    run_stages(stored_stages(out), out, True, on_step=lambda record: steps.append(record.step), in_full=False)
    assert steps == []
    longer = assigned(stored_stages(out), ["texture.optim.n_steps=6"])
    run_stages(longer, out, True, on_step=lambda record: steps.append(record.step), in_full=False)
    assert steps == [3, 4, 5], "the last stage goes on"
    with pytest.raises(ValueError, match=r"optim\.lr was 0\.02, is 0\.01.*another folder"):
        run_stages(assigned(longer, ["nerf.optim.lr=0.01"]), out, True)


def test_begun_anew_nothing_of_the_older_stages_is_left(finished, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(finished, out)
    with pytest.raises(Cut):
        run_stages(small_stages(seed=1), out, on_step=lambda record: cut(), autosave_seconds=0)
    assert not (out / "mesh.glb").exists() and not (out / TEXTURE / "checkpoint.safetensors").exists()
    assert stored_stages(out).nerf.optim.seed == 1


def cut() -> None:
    raise Cut


def test_steps_are_split_between_the_stages():
    config = default_stages("a brick house", n_steps=100)
    assert config.texture.optim.n_steps == round(100 * TEXTURE_SHARE)
    assert config.nerf.optim.n_steps + config.texture.optim.n_steps == 100
    assert config.texture.optim.timesteps.t_max < config.nerf.optim.timesteps.t_max, "refined, not painted anew"
    nerf, texture = (run.guidance.balance.schedule for run in (config.nerf, config.texture))
    assert texture.start == texture.end == nerf.end < nerf.start, "the shape is made"
    own = replace(config.nerf.guidance.balance.schedule, kind="constant", start=0.7)
    chosen = replace(config.nerf.guidance, balance=replace(config.nerf.guidance.balance, schedule=own))
    assert as_at_the_end(chosen, "demo") == chosen
    assert as_at_the_end(config.nerf.guidance, "sd15") == config.nerf.guidance
    sds = default_stages("a brick house", "sds")
    assert sds.texture.guidance == sds.nerf.guidance
    with pytest.raises(ValueError, match="at least 2 steps"):
        default_stages("a brick house", n_steps=1)


def test_the_shape_of_the_multiview_model_begins_lighter():
    """Measured with it alone: other models keep the preset of their NeRF."""
    nerf = default_stages("a brick house", prior="multiview").nerf
    assert (nerf.optim.latent_until, nerf.scene.blob_strength) == (0.12, 4.0)
    alone, other = default_config("a brick house"), default_stages("a brick house").nerf
    for name in ("latent_until", "n_steps"):
        assert getattr(alone.optim, name) != getattr(nerf.optim, name)
    assert (other.optim.latent_until, other.scene) == (alone.optim.latent_until, alone.scene)


@pytest.mark.parametrize(("method", "least"), [("sdi", 0.02), ("hifa", 0.3), ("sds", 0.5)])
def test_a_method_that_draws_no_noise_level_falls_in_the_last_stage_too(method, least):
    config = default_config("a cube", "mesh_texture", method, mesh=MeshInput(file="sample:cube"))
    timesteps = refining(config, "sd15").optim.timesteps
    assert (timesteps.t_max, timesteps.t_max_end) == (0.5, least)
    settings = refined(preset("sd15", "mesh_texture", method), "sd15")
    assert settings["optim.timesteps.t_max"].value == 0.5
    assert settings["optim.timesteps.t_max_end"].value <= (0.5 if method == "sds" else 0.3)


def test_the_texture_may_have_another_model(tmp_path):
    other = assigned(small_stages(), ["texture.prior=multiview"])
    with pytest.raises(ValueError, match="sees 4 views of an object at once.*got 2"):
        run_stages(other, tmp_path / "a", in_full=False)
    assert (tmp_path / "a" / MESH / "mesh.glb").exists(), "the NeRF has the first model, which sees them one by one"
    with pytest.raises(ValueError, match="Unknown prior 'nobody'"):
        run_stages(assigned(small_stages(), ["texture.prior=nobody"]), tmp_path / "b", in_full=False)
    assert not (tmp_path / "b").exists(), "before anything is made"


def test_settings_are_of_one_stage_or_of_both_runs():
    config = assigned(default_stages("a brick house"), ["optim.lr=0.5", "texture.optim.lr=0.25", "mesh.faces=12"])
    assert (config.nerf.optim.lr, config.texture.optim.lr, config.mesh.faces) == (0.5, 0.25, 12)
    with pytest.raises(ValueError, match="does not name a stage"):
        assigned(config, ["optim.n_steps=3"])
    with pytest.raises(ValueError, match="There is no setting 'nothing'"):
        assigned(config, ["optim.nothing=3"])
    with pytest.raises(ValueError, match="cannot be 'image'"):
        run_stages(replace(config, nerf=replace(config.nerf, scene_name="image")), Path("unused"))


def test_the_command_runs_all_stages_and_goes_on(tmp_path, capsys):
    sets = [part for text in SMALL for part in ("--set", text)]
    begin = ["run", "--stages", "--prompt", "a house", "--prior", "exact", "--steps", "2", "--size", "32"]
    assert main([*begin, *sets, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert [f"Stage {i} of 3: {name}" in out for i, name in enumerate(STAGES, 1)] == [True] * 3
    assert "(NeRF: " in out and (tmp_path / "mesh.glb").is_file()
    assert main(["run", "--resume", str(tmp_path)]) == 0
    assert "Stage 3 of 3: texture" in capsys.readouterr().out and read_newest(tmp_path / TEXTURE).run.step == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stages", "--prompt", "a brick house", "--scene", "image"], "start with a NeRF: leave out --scene"),
        (["--stages", "--prompt", "a brick house", "--mesh", "x.glb"], "leave out --mesh"),
        (["--stages"], "--prompt is missing"),
        (["--stages", "--resume", "{finished}", "--more", "3"], "leave out --more"),
        (["--resume", "{finished}", "--prompt", "a wooden torus"], "have the prompt 'a house'"),
        (["--stages", "--prompt", "a brick house", "--set", "optim.n_steps=3"], "does not name a stage"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(finished, tmp_path, capsys, arguments, message):
    given = [text.replace("{finished}", str(finished)) for text in arguments]
    out = [] if "--resume" in given else ["--out", str(tmp_path)]
    assert main(["run", *given, *out]) == 2
    assert message in capsys.readouterr().err


def test_the_demo_goes_on_and_shows_its_result_beside_the_mesh(tmp_path, capsys):
    """Killed after its NeRF: the same configuration does the rest, another one is refused."""
    config = small_stages()
    with pytest.raises(Cut):
        run_stages(config, tmp_path, on_stage=after_the_nerf)
    with pytest.raises(ValueError, match="have not ended"):
        begin_or_resume(small_stages(seed=1), tmp_path)
    kept = (tmp_path / NERF / "run.json").read_text()
    assert begin_or_resume(config, tmp_path) == 0 and (tmp_path / NERF / "run.json").read_text() == kept
    assert "mesh.glb, views.png, turntable.mp4, turntable.png" in capsys.readouterr().out
    assert (tmp_path / "views.png").read_bytes() == (tmp_path / TEXTURE / "views.png").read_bytes()
    assert not (tmp_path / NERF / "mesh.glb").exists(), "the second stage makes it"


def test_unfinished_stages_are_not_replaced_by_a_run(tmp_path, capsys):
    with pytest.raises(Cut):
        run_stages(small_stages(), tmp_path, on_stage=after_the_nerf)
    before = (tmp_path / "stages.json").read_bytes()
    assert main(["run", "--prompt", "a house", "--out", str(tmp_path)]) == 2
    assert "holds stages that have not ended" in capsys.readouterr().err
    assert (tmp_path / "stages.json").read_bytes() == before


def test_stages_and_a_single_run_in_one_folder_leave_nothing_of_each_other(finished, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(finished, out)
    config = small_stages().nerf
    run(replace(config, optim=replace(config.optim, n_steps=1)), out, in_full=False)
    assert not (out / "stages.json").exists() and not (out / "mesh.glb").exists() and (out / "run.json").exists()
    with pytest.raises(Cut):
        run_stages(small_stages(), out, on_stage=after_the_nerf)
    assert not (out / "run.json").exists() and not (out / "checkpoint.safetensors").exists()


def after_the_nerf(number: int, name: str) -> None:
    if number == 2:
        raise Cut


def test_the_exact_prior_has_its_own_size():
    assert default_stages("a house", prior="exact").nerf.optim.size == EXACT_SIZE
