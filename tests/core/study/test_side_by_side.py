from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.experiment import NEWEST, Experiment, default_config, load_scene, resumed, run
from tbsd_pack.tbsd_core.experiment.file import read_newest
from tbsd_pack.tbsd_core.guidance import TimestepConfig
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.study import InlinePool, Job, job_folder, job_of, run_jobs
from tbsd_pack.tbsd_core.study.side_by_side import can_share, run_side_by_side

PROMPT = "brick"  # names no object: nothing is measured against truth, which takes most of the time


@pytest.fixture(scope="module")
def prior():
    return load_prior("learned")


def config(seed: int = 0, steps: int = 2, scene: str = "latent", **optim):
    made = default_config(PROMPT, scene, "sds", n_steps=steps, seed=seed, size=32)
    return replace(made, optim=replace(made.optim, **optim))


def job(label: str = "sds", **settings) -> Job:
    return job_of(label, config(**settings))


def test_a_batch_gives_each_seed_what_it_gets_alone(prior, tmp_path):
    jobs = [job(seed=s) for s in (0, 5, 9)]
    for name, batch in (("together", 8), ("alone", 1)):
        run_jobs(jobs, tmp_path / name, lambda: InlinePool(prior), batch=batch)
    latents = {}
    for name, beside in (("together", 3), ("alone", 1)):
        folders = [job_folder(tmp_path / name, j) for j in jobs]
        assert [json.loads((f / "run.json").read_text())["pictures_side_by_side"] for f in folders] == [beside] * 3
        assert all({p.name for p in f.iterdir()} == {"run.json", "image.png", NEWEST} for f in folders)
        latents[name] = torch.cat([load_scene(f / NEWEST).latents for f in folders])
    torch.testing.assert_close(latents["together"], latents["alone"], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(latents["alone"][0], latents["alone"][1], atol=0.1)


@pytest.mark.parametrize("optimizer", ["shared_adam", "adam"])
@pytest.mark.parametrize("scene", ["image", "latent"])
def test_a_cell_of_a_batch_of_one_goes_on_with_more_steps_as_if_it_had_never_ended(prior, tmp_path, scene, optimizer):
    always = TimestepConfig(t_max_end=0.98)  # nothing asks for the progress, so that more steps change no other ones
    short = config(3, 4, scene, optimizer=optimizer, reuse_steps=3, timestep_seed=8, timesteps=always)
    run_side_by_side([short], [tmp_path / "cell"], prior)
    whole = replace(short, optim=replace(short.optim, n_steps=9))
    run(whole, tmp_path / "more", tmp_path / "cell", prior=prior, in_full=False)
    run(whole, tmp_path / "whole", prior=prior, in_full=False)
    a, b = (read_newest(tmp_path / name) for name in ("more", "whole"))
    assert a.run.step == b.run.step == 9 and a.run.config == b.run.config
    for one, other in ((a.tensors, b.tensors), (a.run.tensors, b.run.tensors)):
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_cell_of_a_batch_of_three_goes_on_with_its_own_moments(prior, tmp_path):
    configs = [config(s, 3, reuse_steps=2) for s in (0, 1, 2)]
    run_side_by_side(configs, [tmp_path / str(i) for i in range(3)], prior)
    for i, own in enumerate(configs):
        alone = Experiment(own, prior)
        for _ in alone.steps():
            pass
        cell = resumed(read_newest(tmp_path / str(i)), own, prior)[0].stored().tensors
        wanted = alone.stored().tensors
        assert cell.keys() == wanted.keys() and any(k.startswith("reused.") for k in cell)
        for name, value in wanted.items():
            torch.testing.assert_close(cell[name], value, rtol=1e-3, atol=1e-4, msg=f"{i} {name}")


@pytest.mark.parametrize(("method", "shared"), [("sds", True), ("vsd", False), ("ism", False), ("sdi", False)])
def test_what_draws_for_its_batch_runs_alone(method, shared):
    assert can_share(job_of(method, default_config(PROMPT, "latent", method, n_steps=2, size=32))) == shared


def test_finished_cells_are_skipped_and_changed_ones_run_again(prior, tmp_path):
    seen: list[tuple[int, bool]] = []

    def go(*jobs: Job):
        show = lambda j, report, fresh: seen.append((j.seed, fresh))  # noqa: E731
        return run_jobs(jobs, tmp_path, lambda: InlinePool(prior), anew=True, on_result=show)

    first, again = go(job(seed=0)), go(job(seed=0), job(seed=1))
    assert seen == [(0, True), (0, False), (1, True)] and again[0] == first[0]
    assert go(job(seed=0, steps=3))[0]["config"]["optim"]["n_steps"] == 3 and seen[-1] == (0, True)


def test_a_failing_cell_is_marked_and_the_others_run(tmp_path):
    """A method that trains a LoRA cannot run on the exact prior; the method beside it can."""
    jobs = [job_of(m, default_config(PROMPT, "image", m, "exact", 1, size=32)) for m in ("vsd", "sds")]
    found = run_jobs(jobs, tmp_path, InlinePool, retries=2)
    assert "trains a LoRA" in found[0] and found[1]["metrics"]["contrast"] > 0
    assert not job_folder(tmp_path, jobs[0]).exists()


def test_a_folder_that_cannot_be_written_ends_the_study_and_keeps_the_seeds_before_it(prior, tmp_path):
    jobs = [job(seed=s) for s in (6, 7)]
    blocked = job_folder(tmp_path, jobs[1])
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        run_jobs(jobs, tmp_path, lambda: InlinePool(prior), batch=8)
    assert (job_folder(tmp_path, jobs[0]) / "run.json").is_file()


def test_an_interrupt_keeps_what_is_finished(prior, tmp_path):
    def stop(j: Job, n_steps: int) -> None:
        if j.label == "b":
            raise KeyboardInterrupt

    jobs = [job("a"), job("b")]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, tmp_path, lambda: InlinePool(prior, on_steps=stop))
    assert [(job_folder(tmp_path, j) / "run.json").is_file() for j in jobs] == [True, False]
