"""The gradients of the methods against their formulas, written out with plain diffusers calls on the same network."""

from __future__ import annotations

import diffusers
import pytest
import torch
import transformers
from tbsd_pack.tbsd_core.balancing import BalanceConfig
from tbsd_pack.tbsd_core.guidance import Bridge, BridgeConfig, TBSDConfig
from tbsd_pack.tbsd_core.guidance.csd import CSD, CSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior
from tbsd_pack.tbsd_core.priors.small_world.quantized import convert
from tbsd_pack.tbsd_core.prompts import PromptSet, encode_texts

TEXTS = {
    "target": "a brick house, front view",
    "uncond": "",
    "negative": "blurry, dark",
    "target_negative": "a brick house, front view, blurry, dark",
}
T = torch.tensor([640, 120])


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> dict:
    """Noise predictions and what goes with them, by diffusers and transformers alone."""
    folder = tmp_path_factory.mktemp("expanded") / "pipeline"
    convert(WEIGHTS, folder, expand=True)
    parts = dict(torch_dtype=torch.float32, low_cpu_mem_usage=False)
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", **parts)
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae", **parts)
    text = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    scheduler = diffusers.DDPMScheduler.from_pretrained(folder / "scheduler")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    latents = vae.encode(images * 2.0 - 1.0).latent_dist.mode() * vae.config.scaling_factor
    noise = draw(1, *latents.shape)
    found = {"images": images, "latents": latents, "noise": noise, "a_bar": scheduler.alphas_cumprod[T]}
    with torch.no_grad():
        noisy = scheduler.add_noise(latents, noise, T)
        for name, prompt in TEXTS.items():
            ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
            found[name] = unet(noisy, T, encoder_hidden_states=text(ids)[0].repeat(2, 1, 1)).sample
    return found


def sds(r: dict, s: float) -> torch.Tensor:
    cfg = r["uncond"] + s * (r["target"] - r["uncond"])
    return (1 - r["a_bar"])[:, None, None, None] * (cfg - r["noise"])


def bridge(r: dict, negative: str, s: float) -> torch.Tensor:
    return (1 - r["a_bar"])[:, None, None, None] * s * (r["target"] - r[negative])


def csd(r: dict, positive: float, negative: float, none: float) -> torch.Tensor:
    return positive * r["target"] + negative * r["negative"] + none * r["uncond"]


def tbsd(r: dict, s: float) -> torch.Tensor:
    """The least-norm point between both directions, sample by sample, and the residual of SDS."""
    rows = []
    for i in range(2):
        shape = s * (r["target"] - r["uncond"])[i].double().flatten()
        texture = s * (r["target"] - r["target_negative"])[i].double().flatten()
        share = torch.dot(texture - shape, texture) / torch.dot(shape - texture, shape - texture)
        share = float(share.clamp(0, 1))
        rows.append(share * shape + (1 - share) * texture + (r["uncond"] - r["noise"])[i].double().flatten())
    mixed = torch.stack(rows).view_as(r["noise"]).float()
    return (1 - r["a_bar"])[:, None, None, None] * mixed


CASES = {
    "sds at 7.5": (SDS(SDSConfig(guidance_scale=7.5)), 0.3, lambda r: sds(r, 7.5)),
    "sds at 100": (SDS(SDSConfig(guidance_scale=100.0)), 0.3, lambda r: sds(r, 100.0)),
    "bridge, first stage": (Bridge(BridgeConfig(guidance_scale=40.0)), 0.4, lambda r: sds(r, 40.0)),
    "bridge, TNP": (Bridge(BridgeConfig(guidance_scale=40.0)), 0.6, lambda r: bridge(r, "target_negative", 40.0)),
    "bridge, GNP": (
        Bridge(BridgeConfig(guidance_scale=40.0, negative="negative")),
        0.6,
        lambda r: bridge(r, "negative", 40.0),
    ),
    "csd": (CSD(CSDConfig(negative_end=0.0)), 0.3, lambda r: csd(r, 1.0, 0.0, -1.0)),
    "csd, half way": (CSD(), 0.25, lambda r: csd(r, 1.0, -0.5, -0.5)),
    "csd, with its negative": (CSD(), 0.8, lambda r: csd(r, 1.0, -1.0, 0.0)),
    "tbsd by MGDA": (
        TBSD(TBSDConfig(guidance_scale=7.5, balancer="mgda", balance=BalanceConfig(shape_floor=0.0))),
        0.5,
        lambda r: tbsd(r, 7.5),
    ),
}


@pytest.fixture(scope="module")
def ours() -> dict:
    prior = load_learned_prior()
    prompts: PromptSet = encode_texts({name: {"": text} for name, text in TEXTS.items()}, prior.encode_prompt)
    return {"prior": prior, "prompts": prompts}


@pytest.mark.parametrize("method, progress, formula", CASES.values(), ids=CASES.keys())
def test_the_gradient_is_that_of_the_formula(reference, ours, method, progress, formula):
    prior = ours["prior"]
    images = reference["images"].detach().clone().requires_grad_()
    latents = prior.encode(images)
    noise = reference["noise"]
    predict = Predictor(prior, ours["prompts"], ["", ""])
    out = predict_and_guide(method, predict, Batch(latents.detach(), T, noise), progress).out
    expected = formula(reference)
    assert relative(out.grad, expected) < 1e-4

    (through,) = torch.autograd.grad(latents, images, out.grad)
    graph = reference["latents"]
    (expected_through,) = torch.autograd.grad(graph, reference["images"], expected, retain_graph=True)
    assert relative(through, expected_through) < 1e-4, "on the pictures, through the autoencoder"


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
