from __future__ import annotations

import dataclasses

import kept
import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.guidance import TBSDConfig, TimestepConfig, build_guidance
from tbsd_pack.tbsd_core.guidance.hifa import HiFAConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD
from tbsd_pack.tbsd_core.optim import (
    Curves,
    Distillation,
    OptimConfig,
    OptimState,
    create_adapter,
    optimize,
)
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet, build_texts, encode_texts
from tbsd_pack.tbsd_core.scenes import (
    GaussianConfig,
    GaussianScene,
    ImageConfig,
    ImageScene,
    LatentImageConfig,
    LatentImageScene,
    NeRFConfig,
    NeRFScene,
)

SIZE = 8


def gaussian_prompts() -> PromptSet:
    conditions = {"target": (0.8, 0.01), "uncond": (0.5, 0.2), "negative": (0.4, 0.1), "target_negative": (0.7, 0.1)}
    return PromptSet(
        conditions={name: {"": GaussianCondition(*value)} for name, value in conditions.items()},
        texts={name: {"": name} for name in conditions},
    )


def small_nerf() -> NeRFScene:
    return NeRFScene(NeRFConfig(resolutions=(5, 9), n_samples=12, occupancy_resolution=8))


def small_splats() -> GaussianScene:
    """Some of its Gaussians fade at once, so that moves happen between and at the interrupts."""
    scene = GaussianScene(GaussianConfig(n_gaussians=60, relocate_every=2, dead_opacity=0.09))
    with torch.no_grad():
        scene.opacity_logits[::4] -= 1
    return scene


SCENES = {
    "image": lambda: ImageScene(ImageConfig(n_images=2, size=SIZE)),
    "nerf": small_nerf,
    "gaussian": small_splats,
}


def run(scene, config, state=None, stop=None, guidance=None):
    state = state or OptimState.create(scene, config)
    records = []
    guidance = guidance or TBSD(TBSDConfig(guidance_scale=3.0))
    loop = optimize(Distillation(GaussianPrior({}), gaussian_prompts(), guidance, scene, CameraConfig(), config), state)
    for record in loop:
        records.append(record)
        if stop is not None and state.step == stop:
            break
    return records, state


@pytest.mark.parametrize("kind", SCENES)
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_resumed_run_is_bit_equal(kind, stop, tmp_path):
    config = OptimConfig(n_steps=8, views_per_step=2, size=SIZE)
    whole = SCENES[kind]()
    run(whole, config)

    first = SCENES[kind]()
    _, state = run(first, config, stop=stop)
    kept.save(tmp_path, first, state)
    second = SCENES[kind]()
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    assert resumed.step == stop
    run(second, config, resumed)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_what_is_known_of_the_noise_is_kept(tmp_path):
    config = OptimConfig(n_steps=6, views_per_step=2, size=SIZE, normalize_by="signal")
    whole, first, second = (SCENES["nerf"]() for _ in range(3))
    run(whole, config)
    _, state = run(first, config, stop=3)
    kept.save(tmp_path, first, state)
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    assert torch.equal(resumed.signal, state.signal) and state.signal[0] > 0
    run(second, config, resumed)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("kind", SCENES)
@pytest.mark.parametrize("method", ["ism", "sdi", "hifa"])
def test_a_run_along_a_trajectory_or_on_pixels_resumes_bit_equal(method, kind, tmp_path):
    times = TimestepConfig(draw="highest" if method == "hifa" else "uniform")
    config = OptimConfig(n_steps=4, views_per_step=2, size=SIZE, timesteps=times)
    whole, first, second = (SCENES[kind]() for _ in range(3))
    records, _ = run(whole, config, guidance=build_guidance(method))
    assert not any(record.skipped for record in records)
    _, state = run(first, config, stop=2, guidance=build_guidance(method))
    kept.save(tmp_path, first, state)
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    run(second, config, resumed, guidance=build_guidance(method))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_noise_on_a_trajectory_follows_the_seed():
    a, b = (ImageScene(ImageConfig(size=SIZE)) for _ in range(2))
    times = TimestepConfig(draw="highest")
    for scene, seed in ((a, 0), (b, 1)):
        run(scene, OptimConfig(n_steps=1, size=SIZE, seed=seed, timesteps=times), guidance=build_guidance("sdi"))
    assert not torch.equal(a.pixels, b.pixels), "SDI looks at no other random number of the step"


@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_on_pixels_reaches_them_at_the_ratio_of_the_method(normalize):
    """Latents are the pixels of this prior, so both parts must add up in each of them."""
    base = OptimConfig(n_steps=1, size=SIZE, optimizer="adam", normalize_by="rms" if normalize else "none")
    grads = {}
    for scale in (0.0, 3.0):
        scene = ImageScene(ImageConfig(size=SIZE))
        guidance = build_guidance("hifa", HiFAConfig(guidance_scale=2.0, pixel_scale=scale))
        seen = {}
        inner = guidance.pixel_grad
        guidance.pixel_grad = lambda *args, seen=seen, inner=inner: seen.setdefault("grad", inner(*args))
        (record,), _ = run(scene, base, guidance=guidance)
        grads[scale] = scene.pixels.grad.clone(), seen, record.scalars["grad_rms"]
    (plain, _, rms), (both, seen, _) = grads[0.0], grads[3.0]
    divisor = rms + 1e-8 if normalize else 1.0
    rgb = torch.sigmoid(4.0 * ImageScene(ImageConfig(size=SIZE)).pixels.detach())
    added = seen["grad"] / divisor / rgb[0].numel() * 4.0 * rgb * (1 - rgb)
    torch.testing.assert_close(both - plain, added, atol=1e-7, rtol=1e-3)
    assert added.abs().max() > 1e-5


def test_latents_have_no_pixels_for_a_gradient():
    scene = LatentImageScene(LatentImageConfig(channels=3, size=SIZE))
    with pytest.raises(ValueError, match="HiFA compares pictures, but this scene is made of latents"):
        run(scene, OptimConfig(n_steps=1, size=SIZE), guidance=build_guidance("hifa"))
    run(scene, OptimConfig(n_steps=1, size=SIZE), guidance=build_guidance("hifa", HiFAConfig(pixel_scale=0.0)))


def test_a_trajectory_cannot_take_predictions_again():
    scene = ImageScene(ImageConfig(size=SIZE))
    with pytest.raises(ValueError, match="ISM finds new noise in each step.*reuse_steps 2"):
        run(scene, OptimConfig(n_steps=2, size=SIZE, reuse_steps=2), guidance=build_guidance("ism"))


def test_runs_with_one_seed_agree_and_with_another_differ():
    a, b, c = (ImageScene(ImageConfig(n_images=2, size=SIZE)) for _ in range(3))
    config = OptimConfig(n_steps=3, size=SIZE)
    run(a, config)
    run(b, config)
    run(c, dataclasses.replace(config, seed=1))
    assert torch.equal(a.pixels, b.pixels)
    assert not torch.equal(a.pixels, c.pixels)


def test_image_moves_to_the_mode_of_the_target():
    scene = ImageScene(ImageConfig(n_images=1, size=SIZE))
    before = float((scene.render(*_any_view()).rgb - 0.8).abs().mean())
    run(scene, OptimConfig(n_steps=150, size=SIZE, lr=0.05))
    after = float((scene.render(*_any_view()).rgb - 0.8).abs().mean())
    assert after < 0.35 * before


def _any_view():
    from tbsd_pack.tbsd_core.cameras.sampling import orbit

    return orbit(1), SIZE, SIZE


class _Watching(GaussianPrior):
    """The real prior, noting the pictures that it is given to encode."""

    def encode(self, images):
        self.seen = images
        return super().encode(images)


@pytest.mark.parametrize("encode_size, given", [(None, SIZE), (SIZE, SIZE), (3 * SIZE, 3 * SIZE)])
def test_views_are_enlarged_before_they_are_encoded(encode_size, given):
    scene = ImageScene(ImageConfig(n_images=2, size=SIZE))
    config = OptimConfig(n_steps=1, size=SIZE, encode_size=encode_size)
    state, prior = OptimState.create(scene, config), _Watching({})
    before = scene.render(*_two_views()).rgb.detach()
    (record,) = optimize(Distillation(prior, gaussian_prompts(), TBSD(), scene, CameraConfig(), config), state)
    expected = torch.nn.functional.interpolate(before, size=(given, given), mode="bilinear", align_corners=False)
    torch.testing.assert_close(prior.seen.detach(), expected)
    assert record.render.rgb.shape[-1] == SIZE and not record.skipped
    assert not torch.equal(scene.render(*_two_views()).rgb, before), "the gradient reaches the scene"


def test_an_encode_size_that_does_not_fit_the_prior_is_refused():
    scene, prior = ImageScene(ImageConfig(size=SIZE)), GaussianPrior({})
    prior.spatial_factor = 3
    config = OptimConfig(n_steps=1, size=SIZE, encode_size=SIZE)
    parts = Distillation(prior, gaussian_prompts(), TBSD(), scene, CameraConfig(), config)
    loop = optimize(parts, OptimState.create(scene, config))
    with pytest.raises(ValueError, match="encode_size must be a multiple of the prior's spatial factor 3, got 8"):
        next(loop)


def _two_views():
    from tbsd_pack.tbsd_core.cameras.sampling import orbit

    return orbit(2), SIZE, SIZE


class _Poisoned(GaussianPrior):
    """The real prior with a NaN in its answer: what a VAE in fp16 does."""

    def predict_noise(self, x_t, t, conditions):
        return [torch.full_like(x_t, float("nan")) for _ in conditions]


def test_bad_gradients_are_skipped_then_reported():
    scene = ImageScene(ImageConfig(n_images=1, size=SIZE))
    before = scene.pixels.detach().clone()
    config = OptimConfig(n_steps=8, size=SIZE, max_bad_steps=3)
    state = OptimState.create(scene, config)
    loop = optimize(Distillation(_Poisoned({}), gaussian_prompts(), TBSD(), scene, CameraConfig(), config), state)
    assert next(loop).skipped and next(loop).skipped
    assert torch.equal(scene.pixels, before)
    with pytest.raises(RuntimeError, match="3 consecutive steps"):
        next(loop)


@pytest.mark.parametrize(
    "field, value", [("n_steps", 0), ("encode_size", 0), ("lr", 0.0), ("views_per_step", 0), ("beta1", 1.0)]
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        OptimConfig(**{field: value})


def test_curves_survive_a_file_and_late_series():
    scene = ImageScene(ImageConfig(size=SIZE))
    records, _ = run(scene, OptimConfig(n_steps=4, size=SIZE))
    curves = Curves()
    for record in records:
        curves.add(record)
    again = Curves.from_tensors(curves.to_tensors(), curves.seconds, curves.skipped)
    assert again.to_dict() == curves.to_dict()
    assert all(len(v) == 4 for v in curves.to_dict()["series"].values())


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_trains_a_lora_resumes_bit_equal(stop, tmp_path):
    prior = load_prior("learned")
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    config = OptimConfig(n_steps=4, views_per_step=2, size=16)
    guidance = build_guidance("esd")

    def start():
        scene = small_nerf()
        return scene, OptimState.create(scene, config, create_adapter(prior, guidance, config.seed))

    def go(scene, state, until):
        for record in optimize(Distillation(prior, prompts, guidance, scene, CameraConfig(), config), state):
            assert not record.skipped and record.scalars["loss_lora"] > 0
            if state.step == until:
                break

    whole, state = start()
    go(whole, state, 4)
    first, partial = start()
    go(first, partial, stop)
    kept.save(tmp_path, first, partial)
    second, resumed = start()
    kept.load(tmp_path, second, resumed)
    go(second, resumed, 4)
    for name, value in (whole.state_dict() | state.adapter.adapter.state_dict()).items():
        assert torch.equal(value, (second.state_dict() | resumed.adapter.adapter.state_dict())[name]), name
    with pytest.raises(ValueError, match="of another method: it holds a LoRA"):
        kept.load(tmp_path, small_nerf(), OptimState.create(second, config))


def test_a_method_with_a_lora_needs_a_state_with_one():
    scene = small_nerf()
    config = OptimConfig(n_steps=1, size=SIZE)
    state = OptimState.create(scene, config)
    vsd = build_guidance("vsd")
    with pytest.raises(ValueError, match="create_adapter"):
        next(optimize(Distillation(GaussianPrior({}), gaussian_prompts(), vsd, scene, CameraConfig(), config), state))


class _Counting(GaussianPrior):
    """The real prior, counting what it is asked for."""

    def predict_noise(self, x_t, t, conditions):
        self.asked = [*getattr(self, "asked", []), len(conditions)]
        self.times = [*getattr(self, "times", []), t.tolist()]
        return super().predict_noise(x_t, t, conditions)


def reusing_run(scene, config, stop=None, state=None):
    state = state or OptimState.create(scene, config)
    prior = _Counting({})
    parts = Distillation(prior, gaussian_prompts(), build_guidance("sds"), scene, CameraConfig(), config)
    for _ in optimize(parts, state):
        if state.step == stop:
            break
    return prior, state


def test_reused_predictions_are_evaluated_once_in_so_many_steps():
    config = OptimConfig(n_steps=7, size=SIZE, reuse_steps=3)
    scene, exact = (ImageScene(ImageConfig(n_images=2, size=SIZE)) for _ in range(2))
    prior, _ = reusing_run(scene, config)
    assert prior.asked == [2, 1, 1, 2, 1, 1, 2]
    assert prior.times[0] == prior.times[2] != prior.times[3]
    reusing_run(exact, dataclasses.replace(config, reuse_steps=1))
    assert not torch.equal(scene.pixels, exact.pixels)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_that_reuses_predictions_resumes_bit_equal(stop, tmp_path):
    config = OptimConfig(n_steps=7, size=SIZE, reuse_steps=3)
    whole, first, second = (ImageScene(ImageConfig(n_images=2, size=SIZE)) for _ in range(3))
    reusing_run(whole, config)
    _, state = reusing_run(first, config, stop)
    kept.save(tmp_path, first, state)
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    reusing_run(second, config, state=resumed)
    assert torch.equal(whole.pixels, second.pixels)


def test_views_that_change_cannot_reuse_predictions():
    scene = small_nerf()
    config = OptimConfig(n_steps=2, size=SIZE, reuse_steps=2)
    with pytest.raises(ValueError, match="reuse_steps works on pictures only"):
        run(scene, config)


def pictures_of(seeds, config, size=SIZE):
    """One batched run with a pair of seeds for each picture; every picture begins as its seed's."""
    scene = ImageScene(ImageConfig(n_images=len(seeds), size=size))
    with torch.no_grad():
        for row, (seed, _) in zip(scene.pixels, seeds, strict=True):
            row.copy_(ImageScene(ImageConfig(size=size, seed=seed)).pixels[0])
    prior, guidance = GaussianPrior({}), TBSD(TBSDConfig(guidance_scale=3.0))
    state = OptimState.create(scene, config)
    for _ in optimize(Distillation(prior, gaussian_prompts(), guidance, scene, CameraConfig(), config, seeds), state):
        pass
    return scene.pixels.detach()


@pytest.mark.parametrize("reuse_steps", [1, 2])
def test_pictures_with_seeds_of_their_own_are_the_runs_of_one_picture(reuse_steps):
    config = OptimConfig(n_steps=6, size=SIZE, reuse_steps=reuse_steps)
    seeds = [(0, 0), (7, 7), (0, 5)]
    together = pictures_of(seeds, config)
    for row, pair in zip(together, seeds, strict=True):
        torch.testing.assert_close(row, pictures_of([pair], config)[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together[0], together[2]), "the timesteps alone differ"
    alone = ImageScene(ImageConfig(size=SIZE, seed=7))
    run(alone, dataclasses.replace(config, seed=7))
    torch.testing.assert_close(together[1], alone.pixels.detach()[0], rtol=1e-5, atol=1e-6)


def test_seeds_must_be_one_pair_per_picture():
    config = OptimConfig(n_steps=1, size=SIZE)
    for scene in (ImageScene(ImageConfig(n_images=2, size=SIZE)), small_nerf()):
        state = OptimState.create(scene, config)
        prior, prompts = GaussianPrior({}), gaussian_prompts()
        steps = optimize(Distillation(prior, prompts, TBSD(), scene, CameraConfig(), config, [(0, 0)]), state)
        with pytest.raises(ValueError, match="one pair per picture, got 1"):
            next(steps)


def test_views_grow_and_latents_come_first():
    prior = load_prior("learned")
    texts = build_texts(PromptConfig(prompt="a brick house"), ("target", "uncond"))
    config = OptimConfig(n_steps=4, views_per_step=1, size=64, start_size=32, full_size_from=1.0, latent_until=0.5)
    prompts = encode_texts(texts, prior.encode_prompt)
    scene = small_nerf()
    before = scene.encoding.levels[0].detach().clone()
    sizes = []
    state = OptimState.create(scene, config)
    for record in optimize(Distillation(prior, prompts, build_guidance("sds"), scene, CameraConfig(), config), state):
        sizes.append(record.render.rgb.shape[-1])
        if state.step == 1:
            moved = scene.encoding.levels[0].detach() - before
            assert moved[:, :1].abs().sum() > 0 and moved[:, 1:].abs().sum() > 0, "latents move shape and colour"
    # latent cells with two rays along each side, then the last of the sizes up to 64
    assert sizes == [32, 32, 32, 32]
    grown = dataclasses.replace(config, latent_until=0.0, full_size_from=0.5)
    scene = small_nerf()
    state = OptimState.create(scene, grown)
    run = optimize(Distillation(prior, prompts, build_guidance("sds"), scene, CameraConfig(), grown), state)
    assert [r.render.rgb.shape[-1] for r in run] == [32, 32, 64, 64]


def test_latents_first_is_refused_where_it_means_nothing():
    config = OptimConfig(n_steps=2, size=SIZE, latent_until=0.5)
    with pytest.raises(ValueError, match="latent_until is for 3D scenes"):
        run(SCENES["image"](), config)
    with pytest.raises(ValueError, match="begins with latents"):
        run(small_nerf(), config, guidance=build_guidance("hifa"))


class Cramped(NeRFScene):
    """A scene whose memory holds no more than `rays` rays."""

    rays = 10**9

    def render(self, *args, **kwargs):
        out = super().render(*args, **kwargs)
        if (self.chunk_rays or self._n_rays) > self.rays:
            torch.empty(2**50)  # what an allocation too many does
        return out


def test_a_step_that_runs_out_of_memory_is_done_again_in_smaller_pieces():
    config = OptimConfig(n_steps=3, views_per_step=4, size=24)
    scenes = [Cramped(small_nerf().config) for _ in range(3)]
    scenes[1].rays, scenes[2].rays = 1200, 300
    chunks = []
    for scene in scenes:
        records, state = run(scene, config)
        assert [r.step for r in records] == [0, 1, 2]
        chunks.append((state.view_chunk, scene.chunk_rays))
        for a, b in zip(scenes[0].parameters(), scene.parameters(), strict=True):
            assert torch.allclose(a, b, atol=2e-3)  # Adam's first steps magnify the order of a sum
    assert chunks == [(0, 0), (2, 0), (1, 288)]
    scenes[1].rays = 50
    with pytest.raises(RuntimeError, match="smallest pieces.*smaller size.*views_per_step"):
        run(scenes[1], config)


def test_an_error_that_is_not_about_memory_is_not_tried_again():
    calls = []

    class Broken(NeRFScene):
        def render(self, *args, **kwargs):
            calls.append(1)
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="do not fit"):
        run(Broken(small_nerf().config), OptimConfig(n_steps=1, size=16))
    assert len(calls) == 1


def test_learning_rates_fall_over_the_second_half_and_go_on_after_a_resume(tmp_path):
    config = OptimConfig(n_steps=8, views_per_step=1, size=SIZE, lr=0.02, lr_end=0.01)
    whole, state = small_nerf(), None
    rates = []
    for stop in range(1, 9):
        _, state = run(whole, config, state, stop=stop)
        rates.append(state.optimizer.param_groups[0]["lr"])
    assert rates[:5] == [0.02] * 5
    assert rates[5:] == pytest.approx([0.02 * 0.01**u for u in (0.25, 0.5, 0.75)])
    first, second = small_nerf(), small_nerf()
    _, state = run(first, config, stop=6)
    kept.save(tmp_path, first, state)
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    run(second, config, resumed)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_steps_report_their_noise_level_and_learning_rate():
    config = OptimConfig(n_steps=8, size=SIZE, lr=0.1, lr_end=0.1, timesteps=TimestepConfig(t_min=0.2, t_max=0.6))
    records, _ = run(SCENES["image"](), config)
    assert all(0.2 <= r.scalars["t"] <= 0.6 for r in records)
    n_timesteps = GaussianPrior({}).schedule.n_timesteps
    drawn = [float(r.t.float().mean()) / n_timesteps for r in records]
    assert [r.scalars["t"] for r in records] == pytest.approx(drawn)
    assert [r.scalars["lr"] for r in records[:5]] == pytest.approx([0.1] * 5)
    assert [r.scalars["lr"] for r in records[5:]] == pytest.approx([0.1 * 0.1 ** (k / 4) for k in (1, 2, 3)])


def test_the_rate_of_positions_falls_with_the_schedule_and_by_its_own_decay():
    config = OptimConfig(n_steps=8, views_per_step=1, size=SIZE, lr=0.02, lr_end=0.01)
    scene, state = small_splats(), None
    found = {"means": [], "color_logits": []}
    for stop in range(1, 9):
        _, state = run(scene, config, state, stop=stop)
        for name, rates in found.items():
            parameter = getattr(scene, name)
            rates += [g["lr"] for g in state.optimizer.param_groups if g["params"][0] is parameter]
    schedule = [0.01 ** max(0.0, 2 * step / 8 - 1) for step in range(8)]
    decay = [scene.config.position_decay ** (step / 8) for step in range(8)]
    assert found["color_logits"] == pytest.approx([0.02 * s for s in schedule])
    assert found["means"] == pytest.approx([0.02 * 0.1 * s * d for s, d in zip(schedule, decay, strict=True)])


def fading_splats() -> GaussianScene:
    """Of any opacity, and all of them fall, so that in each step some more have faded."""
    scene = GaussianScene(GaussianConfig(n_gaussians=60, relocate_every=2, dead_opacity=0.09, opacity_weight=20.0))
    with torch.no_grad():
        scene.opacity_logits.copy_(torch.linspace(-3, 1, 60))
    return scene


@pytest.mark.parametrize("stop", [2, 5, 6])
def test_splats_that_move_after_a_resume_are_those_of_the_whole_run(stop, tmp_path):
    """The moments of the moved ones are part of it: they are cleared before the interrupt or after the resume."""
    config = OptimConfig(n_steps=8, views_per_step=2, size=SIZE, lr_end=0.1)
    scene, state, moved = fading_splats(), None, []
    for step in range(1, 9):
        before = scene.means.detach().clone()
        _, state = run(scene, config, state, stop=step)
        moved.append(bool(((scene.means - before).norm(dim=-1) > 0.05).any()))  # far more than a step of Adam
    assert any(moved[stop:]), "nothing moves after the interrupt"
    first, second = fading_splats(), fading_splats()
    _, interrupted = run(first, config, stop=stop)
    kept.save(tmp_path, first, interrupted)
    resumed = OptimState.create(second, config)
    kept.load(tmp_path, second, resumed)
    run(second, config, resumed)
    for a, b in zip(scene.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(state.optimizer.state[a]["exp_avg"], resumed.optimizer.state[b]["exp_avg"])
