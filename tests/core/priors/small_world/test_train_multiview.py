from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.priors.base import Viewed
from tbsd_pack.tbsd_core.priors.small_world import load_prior, rings, train_multiview, training_state
from tbsd_pack.tbsd_core.priors.small_world.learned import CAMERA_TOKENS, MULTIVIEW_UNET, WEIGHTS
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.quantized import read_weights
from tbsd_pack.tbsd_core.priors.small_world.rings import N_AZIMUTHS, Rings, build_rings, sample_columns, save_rings
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.train_multiview import MultiviewTrainConfig, sample_examples
from tbsd_pack.tbsd_core.priors.small_world.train_multiview import train_multiview as train
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras

TINY = MultiviewTrainConfig(n_rings=1, steps=3, batch=4, grouped=0.5, viewed=0.3)


@pytest.fixture(scope="module")
def made() -> Rings:
    """Noise instead of pictures: the draws from them do not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(len(SHAPES), len(MATERIALS), 2, 1, N_AZIMUTHS, 4, 16, 16, generator=generator).half()
    azimuth = (torch.arange(N_AZIMUTHS) * 22.5).expand(len(SHAPES), 1, -1)
    elevation = torch.arange(len(SHAPES), dtype=torch.float32)[:, None]
    return Rings(latents, azimuth, elevation, [[[("dark",)] for _ in MATERIALS] for _ in SHAPES])


def begun(folder: Path, made: Rings) -> Path:
    folder.mkdir()
    save_rings(folder, made)
    return folder


def test_training_goes_on_as_if_it_had_not_been_interrupted(made, tmp_path, monkeypatch):
    whole = train(begun(tmp_path / "whole", made), TINY).state_dict()
    real, calls = train_multiview.group_loss, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training_state, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(train_multiview, "group_loss", breaks)
    folder = begun(tmp_path / "broken", made)
    with pytest.raises(KeyboardInterrupt):
        train(folder, TINY)
    again = train(folder, TINY).state_dict()
    assert len(calls) == 4 and whole.keys() == again.keys()
    assert all(torch.equal(whole[k], again[k]) for k in whole)
    for name, part in (("unet", MULTIVIEW_UNET), ("cameras", CAMERA_TOKENS)):
        for key, weight in read_weights(folder / part).items():
            trained = whole[f"{name}.{key}"]
            assert float((weight - trained).abs().max()) <= 0.01 * float(trained.abs().max()) + 1e-6, key


def test_the_shipped_weights_can_be_trained_further(made, tmp_path):
    start = MultiviewTrainConfig(start="multiview", steps=0)
    begins = train(begun(tmp_path / "more", made), start).state_dict()
    for name, part in (("unet", MULTIVIEW_UNET), ("cameras", CAMERA_TOKENS)):
        shipped = read_weights(WEIGHTS / part)
        assert shipped and all(torch.equal(begins[f"{name}.{key}"], weight) for key, weight in shipped.items())
    with pytest.raises(ValueError, match="start must be one of learned, multiview, got 'unet'"):
        MultiviewTrainConfig(start="unet")


def test_a_batch_is_groups_of_one_object_or_single_pictures_with_or_without_cameras(made):
    config, kinds = MultiviewTrainConfig(n_rings=1, batch=8, view_words=0.5), set()
    for step in range(60):
        batch = sample_examples(made, config, torch.Generator().manual_seed(step))
        assert len(batch.latents) == len(batch.captions) == 8
        kinds.add((batch.views, batch.angles is None))
        if batch.views == 1:
            continue
        azimuth, elevation = (a.view(-1, 4) for a in batch.angles)
        assert (elevation == elevation[:, :1]).all()
        for row, captions in zip(azimuth, [batch.captions[:4], batch.captions[4:]], strict=True):
            assert len(set(row.tolist())) > 1
            bare = {text.rsplit(", ", 1)[0] if text.endswith(" view") else text for text in captions}
            assert len(bare) == 1  # the same words for all, the view apart
    assert kinds == {(4, False), (1, False), (1, True)}


def test_most_groups_go_around_in_quarter_turns():
    columns = sample_columns(2000, 4, torch.Generator().manual_seed(0))
    gaps = (columns.roll(-1, 1) - columns) % N_AZIMUTHS
    around = ((gaps >= 2) & (gaps <= 6)).all(1).float().mean()
    assert 0.83 < float(around) < 0.93
    assert sample_columns(5, 1, torch.Generator().manual_seed(0)).shape == (5, 1)


def test_a_ring_is_an_object_from_one_elevation_sound_and_faulty(monkeypatch):
    monkeypatch.setattr(rings, "SHAPES", {"cube": SHAPES["cube"]})
    made = build_rings(1, 0, lambda images: torch.nn.functional.avg_pool2d(images, 4))
    assert made.latents.shape == (1, len(MATERIALS), 2, 1, N_AZIMUTHS, 3, 16, 16)
    cameras = view_cameras(made.azimuth[0, 0], made.elevation[0, 0].expand(N_AZIMUTHS))
    true = torch.nn.functional.avg_pool2d(render_truth("cube", "brick", cameras).images, 4)
    torch.testing.assert_close(made.latents[0, 0, 0, 0].float(), true, rtol=0, atol=1e-3)
    assert (made.latents[0, 0, 1, 0] != made.latents[0, 0, 0, 0]).any() and all(f[0] for f in made.faults[0])
    assert (made.azimuth[0, 0].diff() % 360 < 45).all()


def test_the_shipped_network_is_small_and_knows_its_cameras():
    """Told where each view is seen from, it predicts the noise better than told of another side, or nothing."""
    assert sum(p.stat().st_size for n in (MULTIVIEW_UNET, CAMERA_TOKENS) for p in (WEIGHTS / n).iterdir()) < 3.7e6
    prior = load_prior("multiview")
    angles = [(25.0, 20.0), (110.0, 20.0), (200.0, 20.0), (290.0, 20.0)]
    errors = torch.zeros(3)
    for shape, material in (("house", "wooden"), ("torus", "striped"), ("mushroom", "brick")):
        x_0 = prior.encode(render_truth(shape, material, view_cameras(*torch.tensor(angles).T)).images)
        noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
        t = torch.full((4,), 850)
        x_t = prior.schedule.add_noise(x_0, noise, t)
        text = prior.encode_prompt(f"a {material} {shape}")
        own = [Viewed(text, *a) for a in angles]
        for i, row in enumerate(([text] * 4, own, own[1:] + own[:1])):
            (eps,) = prior.predict_noise(x_t, t, [row])
            errors[i] += (eps - noise).square().mean()
    without, known, turned = errors.tolist()
    assert known < 0.75 * without and known < 0.6 * turned
