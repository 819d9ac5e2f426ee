from __future__ import annotations

import dataclasses

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig, orbit, sample_cameras
from tbsd_pack.tbsd_core.priors.small_world import world
from tbsd_pack.tbsd_core.rng import named_generator
from tbsd_pack.tbsd_core.scenes import ENCODINGS, NeRFConfig, NeRFScene, nerf
from tbsd_pack.tbsd_core.scenes.encodings import DenseGrids

TINY = NeRFConfig(resolutions=(5, 9), n_samples=12)


def randomized(config: NeRFConfig = TINY, std: float = 0.1) -> NeRFScene:
    scene = NeRFScene(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in scene.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * std)
    return scene


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_renders_and_learns(encoding):
    scene = NeRFScene(dataclasses.replace(TINY, encoding=encoding))
    before = [p.detach().clone() for p in scene.parameters()]
    groups = scene.parameter_groups(0.02)
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in scene.parameters()}
    optimizer = torch.optim.Adam(groups)
    out = scene.render(orbit(2), 8, 10, torch.Generator().manual_seed(0))
    assert out.rgb.shape == (2, 3, 8, 10) and out.opacity.shape == out.depth.shape == (2, 1, 8, 10)
    assert out.rgb.min() >= 0 and out.rgb.max() <= 1 + 1e-5
    loss = (out.rgb - 0.3).square().mean() + sum(scene.regularization(out, 0.5).values())
    loss.backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, scene.parameters(), strict=True))
    assert all(p.isfinite().all() for p in scene.parameters())


def test_initial_scene_is_a_ball_in_front_of_the_background():
    out = NeRFScene(TINY).render(orbit(1), 16, 16, with_normal=True)
    assert out.opacity[0, 0, 8, 8] > 0.99 and out.opacity[0, 0, 0, 0] < 0.05
    assert torch.allclose(out.rgb[0, :, 0, 0], torch.tensor(world.BACKGROUND), atol=0.03)
    assert 2.0 < out.depth[0, 0, 8, 8] < 2.6 and out.depth[0, 0, 0, 0] == 0
    assert out.normal[0, 2, 8, 8] > 0.95  # at the centre it faces the front camera
    assert out.normal[0, 1, 3, 8] > 0.3 > out.normal[0, 1, 12, 8]  # up above, down below


def test_empty_scene_has_no_opacity():
    out = NeRFScene(dataclasses.replace(TINY, blob_strength=0.0, empty_logit=-60.0)).render(orbit(2), 8, 8)
    assert out.opacity.max() == 0 and out.depth.max() == 0
    assert torch.allclose(out.rgb, torch.tensor(world.BACKGROUND)[:, None, None].expand_as(out.rgb))


def test_finite_differences_agree_with_the_gradient_through_the_whole_renderer():
    scene = randomized(dataclasses.replace(TINY, occupancy_resolution=0)).double()
    cameras = orbit(2, 20.0)
    cameras = type(cameras)(*(getattr(cameras, f.name).double() for f in dataclasses.fields(cameras)))
    target = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (scene.render(cameras, 6, 6).rgb - target).square().sum()

    parameter = scene.encoding.levels[0]
    (grad,) = torch.autograd.grad(loss(), parameter)
    direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            parameter.add_(direction, alpha=sign * 1e-6)
            values.append(loss())
            parameter.sub_(direction, alpha=sign * 1e-6)
    assert ((values[0] - values[1]) / 2e-6).item() == pytest.approx((grad * direction).sum().item(), rel=1e-4)


def test_deterministic_under_a_generator_and_without():
    scene = randomized()
    a, b = (scene.render(orbit(2), 8, 8, named_generator(0, "ray jitter", 3)).rgb for _ in range(2))
    c, d = (scene.render(orbit(2), 8, 8).rgb for _ in range(2))
    assert torch.equal(a, b) and torch.equal(c, d) and not torch.equal(a, c)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_same_seed_same_parameters(encoding):
    a, b = (NeRFScene(dataclasses.replace(TINY, encoding=encoding, seed=4)) for _ in range(2))
    torch.manual_seed(99)  # the global generator has no say
    c = NeRFScene(dataclasses.replace(TINY, encoding=encoding, seed=4))
    for x, y, z in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(x, y) and torch.equal(x, z)


def test_skipping_empty_space_changes_little():
    full = randomized(dataclasses.replace(TINY, n_samples=32, occupancy_resolution=0))
    fast = randomized(dataclasses.replace(TINY, n_samples=32, occupancy_resolution=32))
    cameras = orbit(2, 30.0)
    assert (full.render(cameras, 16, 16).rgb - fast.render(cameras, 16, 16).rgb).abs().max() < 0.02


def test_nested_dense_grids_equal_the_sum_of_their_levels():
    """Oracle: the trilinear formula, level by level."""
    grids = DenseGrids((3, 5), torch.Generator())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for level in grids.levels:
            level.copy_(torch.randn(level.shape, generator=generator))
    points = torch.rand(7, 3, generator=generator) * 2 - 1
    expected = torch.zeros(7, 4)
    for level in grids.levels:
        r = level.shape[-1]
        position = (points + 1) / 2 * (r - 1)
        low = position.floor().clamp(max=r - 2).long()
        f = position - low
        for corner in range(8):
            bits = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
            weight = torch.where(bits.bool(), f, 1 - f).prod(-1)
            x, y, z = (low + bits).unbind(-1)
            expected += weight[:, None] * level[0, :, z, y, x].T
    assert torch.allclose(grids(points), expected, atol=1e-5)


def test_regularisers_say_what_they_mean():
    scene = randomized()
    out = scene.render(orbit(2), 8, 8)
    start, end = scene.regularization(out, 0.0), scene.regularization(out, 1.0)
    assert start["entropy"] == 0 and end["entropy"] > 0
    assert end["opacity"].item() == pytest.approx(0.01 * out.opacity.mean().item())
    assert NeRFScene(TINY).regularization(out, 1.0)["tv"] == 0 < end["tv"]


def test_pinned_render():
    """One value of the initial ball: changes of the field, the sampling or the compositing show here."""
    out = NeRFScene(TINY).render(orbit(1), 8, 8)
    assert out.opacity.mean().item() == pytest.approx(0.67959, abs=1e-4)


def test_supervised_fit_recovers_views():
    """Twenty-five steps on true images of a cube leave a fifth of the error."""
    scene = NeRFScene(NeRFConfig(resolutions=(9, 17), n_samples=24, occupancy_resolution=24))
    cameras = sample_cameras(CameraConfig(), 6, named_generator(0, "camera"))
    truth = world.render_truth("cube", "brick", cameras, 24).images
    optimizer = torch.optim.Adam(scene.parameter_groups(0.04), betas=(0.9, 0.99))
    errors = []
    for step in range(25):
        out = scene.render(cameras, 24, 24, named_generator(0, "ray jitter", step))
        error = (out.rgb - truth).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.2 * errors[0]


@pytest.mark.parametrize(
    "wrong",
    [{"encoding": "magic"}, {"resolutions": ()}, {"n_samples": 1}, {"bound": 0.0}, {"background": (2, 0, 0)}],
)
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        NeRFConfig(**wrong)


def test_chunks_change_nothing_but_the_memory():
    whole, parts = (randomized(dataclasses.replace(TINY, chunk_rays=chunk)) for chunk in (0, 40))
    outs = [s.render(orbit(2), 8, 8, named_generator(0, "jitter", 1)) for s in (whole, parts)]
    assert torch.equal(outs[0].rgb, outs[1].rgb)
    grads = []
    for out, scene in zip(outs, (whole, parts), strict=True):
        grads.append(torch.autograd.grad(out.rgb.square().sum(), scene.encoding.levels[0])[0])
    assert torch.allclose(*grads, rtol=1e-4, atol=1e-6)


def test_shrinking_ends():
    scene = randomized()
    scene.render(orbit(4), 32, 32)
    chunks = []
    while scene.shrink():
        chunks.append(scene.chunk_rays)
    assert chunks == [2048, 1024, 512, 256]


def test_analytic_normals_equal_differences_and_need_a_second_derivative():
    from tbsd_pack.tbsd_core.scenes.normals import analytic_normals, density_normals

    scene = randomized(dataclasses.replace(TINY, encoding="hash", normals="analytic")).double()
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    exact, near = analytic_normals(scene.density, points), density_normals(scene.density, points, 1e-5)
    assert ((exact * near).sum(-1) > 0.999).float().mean() > 0.9  # the others lie on a border between cells
    grad = torch.autograd.grad(analytic_normals(scene.density, points).sum(), scene.encoding.tables[0])[0]
    assert grad.abs().max() > 0
    with pytest.raises(ValueError, match="second derivative"):
        dataclasses.replace(TINY, normals="analytic")


@pytest.mark.parametrize(("textureless", "grey"), [(0.0, False), (1.0, True)])
def test_a_lit_step_shows_shadows_and_without_texture_is_grey(textureless, grey):
    scene = randomized(dataclasses.replace(TINY, shaded=1.0, textureless=textureless), std=0.5)
    lit = scene.render(orbit(1), 16, 16, torch.Generator().manual_seed(3))
    solid = (lit.opacity > 0.99).expand(-1, 3, -1, -1)
    pixels = lit.rgb[solid].view(3, -1)
    assert (pixels.std(0).mean() < 0.01) == grey
    assert pixels.mean(0).std() > 0.05  # bright towards the light, dark away from it
    assert scene.render(orbit(1), 16, 16).rgb[solid].view(3, -1).std(0).mean() > 0.01  # colours when not training
    (gradient,) = torch.autograd.grad(lit.rgb.sum(), scene.encoding.levels[0])
    assert gradient[:, 0].abs().sum() > 0  # shape learns from light
    assert (gradient[:, 1:].abs().sum() == 0) == grey


def test_light_goes_on_when_the_shape_is_there():
    scene = randomized(dataclasses.replace(TINY, shaded=1.0, textureless=1.0, shaded_from=0.2), std=0.5)
    early, late = (
        scene.render(orbit(1), 16, 16, torch.Generator().manual_seed(3), progress=p).rgb for p in (0.19, 0.2)
    )
    inside = (slice(None), slice(None), slice(6, 10), slice(6, 10))
    assert early[inside].std(1).mean() > 0.01 and late[inside].std(1).mean() < 0.01  # colours, then grey


def test_normals_are_smoothed_while_training_alone():
    scene = randomized(dataclasses.replace(TINY, normal_weight=2.0), std=0.5)
    seen = scene.render(orbit(1), 16, 16, torch.Generator().manual_seed(3))
    loss = scene.regularization(seen, 0.0)["normal"]
    (gradient,) = torch.autograd.grad(loss, scene.encoding.levels[0])
    assert loss > 0 and gradient.isfinite().all() and gradient[:, 0].abs().sum() > 0
    assert scene.render(orbit(1), 16, 16).normal is None


def test_background_modes():
    empty = dataclasses.replace(TINY, blob_strength=0.0, empty_logit=-60.0)
    changing = NeRFScene(dataclasses.replace(empty, background_mode="random"))
    views = changing.render(orbit(8), 4, 4, torch.Generator().manual_seed(0)).rgb
    assert torch.equal(views, views[..., :1, :1].expand_as(views))  # one colour per view
    assert 1 < len({tuple(v) for v in views[:, :, 0, 0].tolist()}) <= 8
    background = torch.tensor(world.BACKGROUND)[:, None, None]
    assert torch.allclose(changing.render(orbit(1), 4, 4).rgb[0], background.expand(3, 4, 4))
    learned = NeRFScene(dataclasses.replace(empty, background_mode="learned"))
    out = learned.render(orbit(1), 4, 4).rgb
    assert torch.allclose(out[0], background.expand(3, 4, 4), atol=1e-5)
    assert torch.autograd.grad(out.sum(), learned.environment.b2)[0].abs().min() > 0
    lrs = {id(p): g["lr"] for g in learned.parameter_groups(0.02) for p in g["params"]}
    assert lrs.keys() == {id(p) for p in learned.parameters()} and lrs[id(learned.environment.b2)] == 0.002


def test_weights_of_zero_add_no_loss_and_others_their_share():
    config = dataclasses.replace(TINY, orientation_weight=2.0, z_variance_weight=3.0, sparsity_weight=0.5)
    out = randomized(config, 0.5).render(orbit(2), 8, 8)
    losses = randomized(config, 0.5).regularization(out, 1.0)
    assert losses["orientation"].item() == pytest.approx(2 * out.penalties["orientation"].item()) != 0
    assert losses["z_variance"].item() == pytest.approx(3 * out.penalties["z_variance"].item()) != 0
    assert losses["sparsity"] > 0
    assert not randomized().render(orbit(2), 8, 8).penalties
    plain = randomized()
    assert plain.regularization(plain.render(orbit(2), 8, 8), 1.0).keys() == {"entropy", "opacity", "tv"}


@pytest.mark.parametrize("place", range(4))
def test_a_sheet_of_one_cell_is_seen_with_samples_skipped_as_without(place):
    def pixels(occupancy_resolution: int) -> int:
        fine = dict(resolutions=(33, 129), n_samples=129, blob_strength=0.0, empty_logit=-8.0)
        scene = NeRFScene(NeRFConfig(**fine, occupancy_resolution=occupancy_resolution))
        with torch.no_grad():
            scene.encoding.levels[1][0, 0, 48 + 5 * place, 32:97, 32:97] = 3.0
            return int((scene.render(orbit(1, 0.0), 24, 24).opacity > 0.5).sum())

    assert pixels(48) == pixels(0) > 100


def test_where_the_field_is_finer_than_its_grid_can_be_this_stands_elsewhere_in_each_step():
    fine = NeRFConfig(encoding="kplanes", resolutions=(9, 513), n_samples=4)
    assert fine.skipping_resolution == 64 and fine.shifts_skipping and not NeRFConfig().shifts_skipping
    assert NeRFConfig().skipping_resolution == 48 and NeRFConfig(occupancy_resolution=0).skipping_resolution == 0
    scene, read = NeRFScene(fine), []
    scene.encoding.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    for seed in (0, 1, None, None):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        scene.render(orbit(1), 4, 4, generator)
    first, second, *plain = (points for points in read if len(points) == 64**3)
    assert not torch.equal(first, second) and (first - second).abs().max() <= 2 / 63 + 1e-6
    assert len(plain) == 16 and all(torch.equal(a, b) for a, b in zip(plain[:8], plain[8:], strict=True))
    assert plain[0].unique().numel() == 64 and torch.cat(plain[:8]).unique().numel() == 128


@pytest.mark.parametrize("place", range(6))
def test_pictures_of_a_field_finer_than_its_grid_show_a_sheet_of_one_cell(place, monkeypatch):
    """A dense field with the ratio of the largest ones; smaller, since those take gigabytes."""
    monkeypatch.setitem(nerf.MOST_SKIPPING, True, 8)
    fine = NeRFConfig(resolutions=(33, 97), n_samples=97, blob_strength=0.0, empty_logit=-8.0, occupancy_resolution=40)
    assert fine.shifts_skipping
    scene = NeRFScene(fine)
    with torch.no_grad():
        scene.encoding.levels[1][0, 0, 40 + place, 24:73, 24:73] = 3.0
        assert int((scene.render(orbit(1, 0.0), 24, 24).opacity > 0.5).sum()) > 100
