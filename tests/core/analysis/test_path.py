from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from analysis_gaussian import MEANS, SIZE, gaussian_entry, gaussian_prior, gaussian_prompts
from tbsd_pack.tbsd_core.analysis.path import (
    Objectives,
    PathConfig,
    objective_paths,
    path_chart,
    path_sheet,
    reachable,
    scene_latents,
)
from tbsd_pack.tbsd_core.guidance.csd import CSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSDConfig
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.rng import named_generator
from tbsd_pack.tbsd_core.scenes import LatentImageConfig
from tbsd_pack.tbsd_core.study import Entry

VARIANCES = {"target": 0.02, "uncond": 0.3, "negative": 0.1, "target_negative": 0.08}
CONFIG = PathConfig(every=2, t=(0.4, 0.8), n_noises=2)
STEPS = 7


def prompts() -> PromptSet:
    """Different variances: the objectives are quadratic, not linear."""
    conditions = {name: {"": GaussianCondition(mean, VARIANCES[name])} for name, mean in MEANS.items()}
    return PromptSet(conditions, {name: {"": name} for name in conditions})


def log_odds(z: torch.Tensor, a: str, b: str) -> torch.Tensor:
    """mean over the pairs of log N(x_t; a) - log N(x_t; b), per picture, up to a constant."""
    prior, total = gaussian_prior(), torch.zeros(())
    for level in CONFIG.t:
        timestep = round(level * 999)
        alpha, sigma = prior.schedule.alpha_sigma(torch.tensor([timestep]))
        for k in range(CONFIG.n_noises):
            noise = torch.randn(z.shape, generator=named_generator(CONFIG.seed, f"objective {timestep}", k))
            x_t = alpha * z + sigma * noise
            for name, sign in ((a, 1), (b, -1)):
                spread = alpha**2 * VARIANCES[name] + sigma**2
                total = total - sign * ((x_t - alpha * MEANS[name]) ** 2 / (2 * spread)).sum()
    return total / (len(CONFIG.t) * CONFIG.n_noises) / len(z)


def entry(guidance, label="x", n_images=1) -> Entry:
    scene = LatentImageConfig(size=SIZE, channels=3, n_images=n_images, init_scale=0.3)
    return gaussian_entry(label, guidance, scene, prompts(), n_steps=STEPS, lr=0.05)


def run(entries, config=CONFIG):
    results, paths = [], []
    for _ in objective_paths(entries, gaussian_prior(), config, results, paths):
        pass
    return results, paths


def latents(experiment) -> torch.Tensor:
    found, views = scene_latents(experiment)
    assert views == [""] * len(found)
    return found.detach()


def test_gradients_are_those_of_the_log_odds():
    z = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    shape, texture = Objectives(gaussian_prior(), prompts(), CONFIG).gradients(z.detach(), ["", ""])
    for found, other in ((shape, "uncond"), (texture, "target_negative")):
        (expected,) = torch.autograd.grad(log_odds(z, "target", other) * len(z), z)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_images", [1, 2])
def test_the_path_ends_at_the_known_objectives_of_a_quadratic(n_images):
    an_entry = entry(SDSConfig(guidance_scale=4.0), n_images=n_images)
    (result,), (path,) = run([an_entry])
    start, end = latents(an_entry.begin(gaussian_prior())), latents(result.experiment)
    for value, other in ((path.points[-1].shape, "uncond"), (path.points[-1].texture, "target_negative")):
        expected = log_odds(end, "target", other) - log_odds(start, "target", other)
        assert value == pytest.approx(float(expected), rel=1e-3)
        assert abs(value) > 0.1, "a path that goes somewhere"


def test_points_are_measured_at_the_start_every_so_many_steps_and_at_the_end():
    _, (path,) = run([entry(SDSConfig())])
    assert [p.step for p in path.points] == [0, 2, 4, 6, 7]
    first = path.points[0]
    assert (first.shape, first.texture, first.moved) == (0.0, 0.0, 0.0)
    assert path.points[-1].progress == 1 and all(p.moved > 0 for p in path.points[1:])


def test_the_value_of_a_quadratic_does_not_depend_on_how_often_it_is_measured():
    ends = [run([entry(SDSConfig())], PathConfig(every=n, t=CONFIG.t, n_noises=2))[1][0].points[-1] for n in (1, 7)]
    assert ends[0].shape == pytest.approx(ends[1].shape, rel=1e-3)
    assert ends[0].texture == pytest.approx(ends[1].texture, rel=1e-3)


def test_paths_of_several_methods_start_together():
    methods = [CSDConfig(negative_end=0.0), TBSDConfig(balancer="fixed", anchor=0.0)]
    _, paths = run([entry(m, str(i)) for i, m in enumerate(methods)])
    assert paths[0].points[0].gram == paths[1].points[0].gram
    assert paths[0].points[-1].shape != paths[1].points[-1].shape
    assert all(p.points[-1].shape > 0 for p in paths), "both follow the classifier, so the log-odds rise"


def test_the_gram_matrix_holds_norms_and_angle():
    an_entry = entry(SDSConfig())
    _, (path,) = run([an_entry])
    start = latents(an_entry.begin(gaussian_prior()))
    shape, texture = Objectives(gaussian_prior(), prompts(), CONFIG).gradients(start, [""])
    point = path.points[0].numbers()
    assert point["norm_shape"] == pytest.approx(float(shape.norm()), rel=1e-4)
    assert point["norm_texture"] == pytest.approx(float(texture.norm()), rel=1e-4)
    expected = torch.cosine_similarity(shape.flatten(), texture.flatten(), 0)
    assert point["cosine"] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    "gram, inside, outside",
    [
        ((1.0, 0.0, 1.0), [(1, 0.01), (0.01, 1), (1, 1)], [(-1, 1), (1, -0.1), (-1, -1)]),
        ((1.0, 0.9, 1.0), [(1, 1), (1, 0.95)], [(1, 0.5), (0.5, 1), (1, 0), (-1, -1)]),
        ((1.0, -0.9, 1.0), [(1, 1), (1, -0.8), (-0.8, 1)], [(-1, -1), (1, -1.2)]),
        ((1.0, 1.0, 1.0), [(1, 1)], [(1, 0.9), (-1, -1), (0, 1)]),
        ((4.0, 2.0, 1.0), [(2, 1)], [(1, 2), (-2, -1)]),
    ],
)
def test_reachable_directions_are_the_cone_of_the_two_gradients(gram, inside, outside):
    assert all(reachable(gram, d) for d in inside)
    assert not any(reachable(gram, d) for d in outside)


def test_what_is_reachable_is_what_mixtures_do():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        g_s, g_t = torch.randn(2, 5, generator=generator)
        gram = (float(g_s @ g_s), float(g_s @ g_t), float(g_t @ g_t))
        a, b = torch.rand(2, generator=generator) + 0.05
        step = a * g_s + b * g_t
        assert reachable(gram, (float(step @ g_s), float(step @ g_t)))
        step = a * g_s - b * g_t
        assert not reachable(gram, (float(step @ g_s), float(step @ g_t)))


def test_the_sheet_holds_the_paths_of_an_interrupted_run():
    results, paths = [], []
    entries = [entry(SDSConfig(), "a"), entry(CSDConfig(), "b")]
    for step in objective_paths(entries, gaussian_prior(), CONFIG, results, paths):
        if step.done == STEPS + 3:
            break
    numbers = json.loads(path_sheet(paths, results, CONFIG, "t").json())
    assert [c["label"] for c in numbers["cases"]] == ["a", "b"]
    assert [len(c["path"]) for c in numbers["cases"]] == [5, 2]


def test_the_sheet_holds_the_paths_beside_those_that_fail():
    late, never = entry(SDSConfig(), "late"), replace(entry(SDSConfig(), "never"), prompts=None)  # nothing reads text
    known = {k: v for k, v in prompts().conditions.items() if k != "target_negative"}
    late = replace(late, prompts=PromptSet(known, {}))
    results, paths = run([never, entry(SDSConfig(), "a"), late, entry(CSDConfig(), "b")])
    assert [len(p.points) for p in paths] == [0, 5, 0, 5]
    numbers = json.loads(path_sheet(paths, results, CONFIG, "t").json())
    assert [(c["label"], "error" in c) for c in numbers["cases"]] == [
        ("never", True),
        ("a", False),
        ("late", True),
        ("b", False),
    ]
    assert [len(c["path"]) for c in numbers["cases"]] == [0, 5, 0, 5]
    assert numbers["cases"][1]["path"] == [p.numbers() for p in run([entry(SDSConfig(), "a")])[1][0].points]


def test_the_chart_shows_each_path():
    _, paths = run([entry(SDSConfig(), "a"), entry(CSDConfig(), "b")])
    one, two = path_chart(paths[:1], "t", 500), path_chart(paths, "t", 500)
    assert one.shape == two.shape == (3, 425, 500) and not torch.equal(one, two)


def test_prompts_without_a_target_negative_say_what_adds_it():
    known = {k: v for k, v in gaussian_prompts().conditions.items() if k != "target_negative"}
    with pytest.raises(ValueError, match="Target Negative Prompt"):
        Objectives(gaussian_prior(), PromptSet(known, {}), CONFIG).gradients(torch.zeros(1, 3, SIZE, SIZE), [""])


@pytest.mark.parametrize("change", [dict(every=0), dict(n_noises=0), dict(t=()), dict(t=(0.0,)), dict(t=(math.nan,))])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match="must be"):
        PathConfig(**change)
