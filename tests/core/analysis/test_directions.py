from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from analysis_gaussian import SIZE, difference, gaussian_prior, gaussian_prompts
from tbsd_pack.tbsd_core.analysis.directions import (
    BRIDGE,
    CLS,
    GNP,
    SHOWN,
    TNP,
    DirectionsConfig,
    change,
    decoded,
    directions_sheet,
    inspect_directions,
)
from tbsd_pack.tbsd_core.guidance.bridge import BridgeConfig
from tbsd_pack.tbsd_core.guidance.ism import ISM
from tbsd_pack.tbsd_core.guidance.nfsd import NFSD
from tbsd_pack.tbsd_core.guidance.sdi import SDI
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD, TBSDConfig
from tbsd_pack.tbsd_core.guidance.vsd import VSD
from tbsd_pack.tbsd_core.optim.guide import Batch, predict_and_guide
from tbsd_pack.tbsd_core.optim.predictor import Predictor
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.schedule import scaled_linear
from tbsd_pack.tbsd_core.prompts import PromptSet
from tbsd_pack.tbsd_core.rng import named_generator

LATENTS = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
CONFIG = DirectionsConfig(t=(0.1, 0.9), progress=(0.9,), bridge=BridgeConfig(guidance_scale=3.0))


def rows(config: DirectionsConfig = CONFIG, guidance=None, latents=LATENTS):
    return list(inspect_directions(gaussian_prior(), gaussian_prompts(), latents, config, guidance))


def test_directions_equal_the_closed_form():
    prior = gaussian_prior()
    found = rows()
    assert [row.timestep for row in found] == [round(0.1 * 999), round(0.9 * 999)]
    for row in found:
        for name, pair in {
            CLS: ("target", "uncond"),
            GNP: ("target", "negative"),
            TNP: ("target", "target_negative"),
        }.items():
            torch.testing.assert_close(row.directions[name], difference(prior, row.timestep, *pair))
        torch.testing.assert_close(row.directions[BRIDGE], 3 * row.directions[TNP])


def test_in_the_other_reading_bridge_is_the_sum_of_the_classifier_and_the_post_direction():
    for row in rows(dataclasses.replace(CONFIG, post="uncond")):
        expected = difference(gaussian_prior(), row.timestep, "uncond", "target_negative")
        torch.testing.assert_close(row.directions[TNP], expected)
        torch.testing.assert_close(row.directions[BRIDGE], 3 * (row.directions[CLS] + row.directions[TNP]))


def test_before_its_switch_bridge_is_sds_averaged_over_the_noises():
    """With many draws the residual of SDS is its mean, sigma alpha (x - mean) / (alpha^2 variance + sigma^2)."""
    prior = gaussian_prior()
    config = dataclasses.replace(CONFIG, progress=(0.0,), n_noises=4000)
    for row in rows(config):
        residual = row.directions[BRIDGE] - 3 * row.directions[CLS]
        alpha, sigma = prior.schedule.alpha_sigma(torch.tensor([row.timestep]))
        condition = gaussian_prompts().conditions["uncond"][""]
        spread = alpha**2 * condition.variance + sigma**2
        expected = sigma * alpha * (LATENTS - condition.mean) / spread
        noise = (sigma**2 / spread - 1).abs() / 4000**0.5
        assert float((residual - expected).abs().max()) < 5 * float(noise) + 1e-5


def test_a_method_and_several_moments_add_their_columns():
    tbsd = TBSD(TBSDConfig(guidance_scale=2.0, balancer="schedule", anchor=0.0, weighting="uniform"))
    (row, _) = rows(dataclasses.replace(CONFIG, progress=(0.0, 1.0)), tbsd)
    assert list(row.directions) == [CLS, GNP, TNP, "delta_bridge@0", "tbsd@0", "delta_bridge@1", "tbsd@1"]
    torch.testing.assert_close(row.directions["tbsd@0"], 2 * row.directions[CLS])
    torch.testing.assert_close(row.directions["tbsd@1"], 2 * row.directions[TNP] + 2 * 0.1 * row.directions[CLS])
    assert "vsd" not in rows(guidance=VSD())[0].directions


@pytest.mark.parametrize("method", [ISM(), SDI()], ids=["ism", "sdi"])
def test_a_method_with_a_trajectory_has_the_direction_of_the_loop(method):
    row = rows(guidance=method)[1]
    name = {ISM: "ism", SDI: "sdi"}[type(method)]
    n, level = CONFIG.n_noises, torch.full((CONFIG.n_noises,), row.timestep)
    noise = torch.randn(n, 3, SIZE, SIZE, generator=named_generator(CONFIG.seed, "inspect", row.timestep))
    ask = Predictor(gaussian_prior(), gaussian_prompts(), [""] * n)
    expected = predict_and_guide(method, ask, Batch(LATENTS.expand_as(noise), level, noise), 0.9).out.grad.mean(0)
    torch.testing.assert_close(row.directions[name][0], expected)
    plain = SDS(SDSConfig(guidance_scale=method.config.guidance_scale, weighting="uniform"))
    assert not torch.allclose(row.directions[name], rows(guidance=plain)[1].directions["sds"], rtol=0.05)


def test_a_method_that_asks_how_far_the_noise_is_knows_the_length_of_the_schedule():
    """NFSD decides at a fifth of it; some models have ten thousand levels."""
    prior = GaussianPrior({}, scaled_linear(5000, 0.00085 / 5, 0.012 / 5))
    ask, method = Predictor(prior, gaussian_prompts(), [""] * CONFIG.n_noises), NFSD()
    row = list(inspect_directions(prior, gaussian_prompts(), LATENTS, CONFIG, method))[0]
    noise = torch.randn(CONFIG.n_noises, 3, SIZE, SIZE, generator=named_generator(CONFIG.seed, "inspect", row.timestep))
    batch = Batch(LATENTS.expand_as(noise), torch.full((CONFIG.n_noises,), row.timestep), noise)
    expected = predict_and_guide(method, ask, batch, 0.9).out.grad.mean(0)
    torch.testing.assert_close(row.directions["nfsd"][0], expected)


def test_the_pictures_of_a_batch_are_looked_at_one_by_one():
    both = torch.cat([LATENTS, LATENTS.flip(-1)])
    found = rows(latents=both)
    assert [row.picture for row in found] == [0, 0, 1, 1]
    single = rows(latents=both[1:])
    for a, b in zip(found[2:], single, strict=True):
        for name in a.directions:
            assert torch.equal(a.directions[name], b.directions[name])


def test_a_direction_is_shown_whatever_its_length():
    prior = gaussian_prior()
    for show in (decoded, change):
        direction = rows()[0].directions[CLS]
        torch.testing.assert_close(show(prior.decode, direction, LATENTS), show(prior.decode, 100 * direction, LATENTS))
        assert not torch.allclose(show(prior.decode, direction, LATENTS), show(prior.decode, -direction, LATENTS))


def test_decoding_a_direction_is_the_decoder_of_the_scaled_direction():
    direction = torch.ones(1, 3, 2, 2) * 7
    shown = decoded(lambda x: x, direction, torch.full((1, 3, 2, 2), -0.25))
    torch.testing.assert_close(shown, torch.full((1, 3, 2, 2), 0.25))


def test_the_change_is_where_a_descent_step_leads():
    direction = torch.zeros(1, 3, 2, 2)
    direction[0, 0, 0, 0] = 1.0
    shown = change(lambda x: x, direction, torch.full((1, 3, 2, 2), 0.5))
    assert shown[0, 0, 0, 0] == 0 and (shown == 0.5).sum() == 11


@pytest.mark.parametrize("shown", SHOWN)
def test_the_sheet_holds_lengths_and_cosines(shown):
    config = dataclasses.replace(CONFIG, shown=shown)
    found = rows(config)
    sheet = directions_sheet(found, gaussian_prior(), config, "title")
    numbers = json.loads(sheet.json())
    assert sheet.image.shape[0] == 3 and numbers["shown"] == shown and len(numbers["rows"]) == 2
    row = numbers["rows"][0]
    assert row["norm"][CLS] == pytest.approx(float(found[0].directions[CLS].norm()), rel=1e-5)
    assert row["cosine"][CLS][CLS] == pytest.approx(1) and row["cosine"][BRIDGE][TNP] == pytest.approx(1)
    expected = torch.cosine_similarity(found[0].directions[CLS].flatten(), found[0].directions[GNP].flatten(), 0)
    assert row["cosine"][CLS][GNP] == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(t=()), "t must be one or more numbers in"),
        (dict(t=(1.5,)), "t must be in"),
        (dict(progress=(-0.1,)), "progress must be in"),
        (dict(post="negative"), "post must be one of target, uncond"),
        (dict(shown="raw"), "shown must be one of decode, change"),
        (dict(n_noises=0), "n_noises must be >= 1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DirectionsConfig(**change)


def test_prompts_without_gnp_say_what_adds_it():
    prompts = gaussian_prompts()
    conditions = {k: v for k, v in prompts.conditions.items() if k != "negative"}
    with pytest.raises(ValueError, match="Target Negative Prompt"):
        next(inspect_directions(gaussian_prior(), PromptSet(conditions, prompts.texts), LATENTS, CONFIG))
