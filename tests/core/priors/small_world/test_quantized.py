from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS
from tbsd_pack.tbsd_core.priors.small_world.quantized import (
    LEVELS,
    convert,
    dequantize,
    quantize,
    read_weights,
    weights_file,
)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(16, 8, 3, 3, generator=generator) * torch.logspace(-3, 1, 16)[:, None, None, None]
    return {"conv.weight": kernel, "conv.bias": torch.randn(16, generator=generator), "none.weight": kernel * 0}


def test_the_error_is_at_most_half_a_step_of_each_channel(weights):
    packed = quantize(weights)
    assert packed["conv.weight"].dtype == torch.int8 and packed["conv.weight.scale"].shape == (16,)
    found = dequantize(packed)
    assert found.keys() == weights.keys() and all(v.dtype == torch.float32 for v in found.values())
    step = weights["conv.weight"].flatten(1).abs().amax(1) / LEVELS
    error = (found["conv.weight"] - weights["conv.weight"]).flatten(1).abs().amax(1)
    assert (error <= 0.501 * step).all()
    assert torch.equal(found["none.weight"], weights["none.weight"])
    torch.testing.assert_close(found["conv.bias"], weights["conv.bias"], rtol=1e-3, atol=0)


def test_quantizing_again_changes_nothing(weights):
    once = dequantize(quantize(weights))
    twice = dequantize(quantize(once))
    for name in once:
        torch.testing.assert_close(once[name], twice[name], rtol=1e-6, atol=0)


def test_a_folder_goes_there_and_back(tmp_path):
    convert(WEIGHTS, tmp_path / "wide", expand=True)
    convert(tmp_path / "wide", tmp_path / "narrow")
    for part in ("unet", "vae", "text_encoder"):
        shipped, wide, again = (read_weights(f / part) for f in (WEIGHTS, tmp_path / "wide", tmp_path / "narrow"))
        assert all(v.dtype == torch.float32 for v in load_file(str(weights_file(tmp_path / "wide" / part))).values())
        assert shipped.keys() == wide.keys() == again.keys()
        assert all(torch.equal(shipped[k], wide[k]) for k in shipped)
        for name in shipped:
            torch.testing.assert_close(shipped[name], again[name], rtol=1e-6, atol=0)
    with pytest.raises(FileExistsError):
        convert(WEIGHTS, tmp_path / "wide")


def test_damage_is_named(tmp_path, weights):
    packed = quantize(weights)
    del packed["conv.weight.scale"]
    save_file(packed, str(tmp_path / "model.safetensors"))
    with pytest.raises(ValueError, match=r"conv\.weight has no scales"):
        read_weights(tmp_path)
    save_file(packed, str(tmp_path / "other.safetensors"))
    with pytest.raises(FileNotFoundError, match="found 2"):
        read_weights(tmp_path)
