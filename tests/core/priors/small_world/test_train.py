from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.priors.small_world.dataset import build_dataset, sample_degradations, sample_views
from tbsd_pack.tbsd_core.priors.small_world.learned import load_learned_prior
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.train import TrainConfig, cosine_lr, random_crops, train
from tbsd_pack.tbsd_core.priors.small_world.world import BACKGROUND


@pytest.fixture(scope="module")
def data():
    return build_dataset(n_views=2, seed=0, size=16)


def test_the_dataset_pairs_each_clean_image_with_a_degraded_one(data):
    n = len(SHAPES) * len(MATERIALS) * 2 * 2
    assert data.images.shape == (n, 3, 16, 16) and data.images.dtype == torch.uint8 and len(data.labels) == n
    for clean, bad in zip(data.labels[::2], data.labels[1::2], strict=True):
        assert (clean.shape, clean.material, clean.view) == (bad.shape, bad.material, bad.view)
        assert clean.degradations == () and bad.degradations
    assert {(label.shape, label.material) for label in data.labels} == {(s, m) for s in SHAPES for m in MATERIALS}
    again = build_dataset(n_views=2, seed=0, size=16)
    assert torch.equal(again.images, data.images) and torch.equal(again.hints, data.hints)


def test_pictures_of_one_view_share_its_depth(data):
    """A hint is black where a clean picture shows the background, and bright where it does not."""
    assert data.hints.shape == (len(SHAPES) * 2, 1, 16, 16) and data.hints.dtype == torch.uint8
    background = torch.tensor(BACKGROUND).view(3, 1, 1)
    for image, label in list(zip(data.images, data.labels, strict=True))[::2]:
        hint = data.hints[label.hint][0]
        assert bool(((image / 255 - background).abs().amax(0) < 0.01)[hint == 0].all())
        assert int(hint.max()) >= 240


def test_views_go_all_around_and_faults_vary():
    azimuth, elevation = sample_views(80, torch.Generator().manual_seed(0))
    assert torch.equal((azimuth / 4.5).floor().sort()[0], torch.arange(80.0))
    assert int((elevation >= 60).sum()) == 10 and elevation.min() >= -2 and elevation.max() <= 85
    generator = torch.Generator().manual_seed(0)
    drawn = [sample_degradations(generator) for _ in range(300)]
    assert {len(names) for names, _ in drawn} == {1, 2, 3, 4, 5, 6}
    assert all(len(set(names)) == len(names) and 0 <= strength <= 1 for names, strength in drawn)


def test_crops_are_cut_from_the_images(data):
    (crop,) = random_crops(data.images[:1], 1, 8, torch.Generator().manual_seed(0))
    places = [(y, x) for y in (0, 4, 8) for x in (0, 4, 8)]
    assert any(torch.equal((crop * 255).round().byte(), data.images[0, :, y : y + 8, x : x + 8]) for y, x in places)


def test_the_learning_rate_warms_up_and_decays():
    assert cosine_lr(0.0, 0) < 0.01 < cosine_lr(0.0, 500) == 1.0
    assert abs(cosine_lr(1.0, 500) - 0.02) < 1e-9


def test_a_tiny_run_writes_a_pipeline_that_loads(tmp_path):
    out = tmp_path / "weights"
    train(out, TrainConfig(n_views=1, vae_steps=2, vae_batch=4, unet_steps=2, unet_batch=4))
    assert {p.suffix for p in out.rglob("*") if p.is_file()} == {".json", ".safetensors"}
    assert not (out / "checkpoint.safetensors").exists()
    prior = load_learned_prior(out)
    latents = prior.encode(torch.rand(1, 3, 64, 64))
    assert latents.shape == (1, 4, 16, 16)
    (eps,) = prior.predict_noise(latents, torch.tensor([500]), [[prior.encode_prompt("a brick house")]])
    assert eps.shape == latents.shape and eps.isfinite().all()
    assert prior.decode(latents).shape == (1, 3, 64, 64)
