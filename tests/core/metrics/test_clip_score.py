from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.metrics import clip_score, r_precision
from tbsd_pack.tbsd_core.metrics.clip_model import ClipModel, load_clip_model
from tbsd_pack.tbsd_core.metrics.clip_score import preprocess
from tiny_pipelines import TOKENS, write_tokenizer

PROMPTS = ["a brick house", "a torus", "some mushroom"]


def test_scores_and_retrieval_by_hand():
    images = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    texts = torch.tensor([[1.0, 1.0], [0.0, 5.0]])
    torch.testing.assert_close(clip_score(images, texts[:1]), torch.tensor([100 / 2**0.5, 100 / 2**0.5, 0.0]))
    assert r_precision(images, texts, torch.tensor([0, 1, 0])) == pytest.approx(2 / 3)


def test_embeddings_of_different_models_and_a_single_candidate_are_refused():
    with pytest.raises(ValueError, match="come from different CLIP models"):
        clip_score(torch.ones(2, 8), torch.ones(1, 6))
    with pytest.raises(ValueError, match="at least 2 candidate prompts, got 1"):
        r_precision(torch.ones(2, 8), torch.ones(1, 8), torch.tensor([0, 0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A CLIP with random weights, saved by transformers."""
    from transformers import CLIPConfig
    from transformers import CLIPModel as TransformersCLIP

    torch.manual_seed(0)
    ends = dict(bos_token_id=len(TOKENS) - 2, eos_token_id=len(TOKENS) - 1, pad_token_id=len(TOKENS) - 1)
    layers = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    text = dict(vocab_size=len(TOKENS), max_position_embeddings=24, **layers, **ends)
    vision = dict(image_size=16, patch_size=8, **layers)
    path = tmp_path_factory.mktemp("clip") / "tiny"
    write_tokenizer(path)
    model = TransformersCLIP(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    with torch.no_grad():  # the initial weights make all pictures alike
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(path)
    return path


def test_a_saved_clip_agrees_with_transformers_own_forward(folder):
    from transformers import AutoTokenizer
    from transformers import CLIPModel as TransformersCLIP

    clip = load_clip_model(str(folder))
    assert isinstance(clip, ClipModel)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    image_embeds, text_embeds = clip.embed_images(images), clip.embed_texts(PROMPTS)
    assert image_embeds.shape == (4, 12) and text_embeds.shape == (3, 12)

    model = TransformersCLIP.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=True, return_tensors="pt")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (clip.mean, clip.std))
    with torch.no_grad():
        out = model(pixel_values=(images - mean) / std, **tokens)
    cosine = out.logits_per_image / model.logit_scale.exp()
    for p in range(3):
        torch.testing.assert_close(
            clip_score(image_embeds, text_embeds[p : p + 1]), 100 * cosine[:, p].clamp(min=0), rtol=1e-4, atol=1e-3
        )
    truth = torch.tensor([0, 1, 2, 0])
    expected = float((out.logits_per_image.argmax(1) == truth).float().mean())
    assert r_precision(image_embeds, text_embeds, truth) == pytest.approx(expected)
    assert cosine.std() > 1e-3, "otherwise the test says nothing"


def test_long_texts_are_cut_where_the_model_ends(folder):
    assert load_clip_model(str(folder)).embed_texts(["a brick house " * 20]).shape == (1, 12)


def test_preprocessing_crops_the_middle_and_normalises():
    image = torch.full((1, 3, 8, 24), 0.2)
    image[..., 8:16] = 0.9  # the middle third
    out = preprocess(image, 8, (0.5, 0.5, 0.5), (0.1, 0.2, 0.4))
    assert out.shape == (1, 3, 8, 8)
    expected = torch.tensor([4.0, 2.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    assert preprocess(torch.rand(1, 3, 31, 17), 12, (0.5,) * 3, (0.5,) * 3).shape == (1, 3, 12, 12)


def test_nothing_is_downloaded_and_other_models_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="--allow-download"):
        load_clip_model("openai/clip-vit-base-patch32")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="'bert'"):
        load_clip_model(str(tmp_path))
