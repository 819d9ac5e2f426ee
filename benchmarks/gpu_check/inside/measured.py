"""One case of the check of gradients: a model and its VAE that the host uses, too, against plain torch."""

from __future__ import annotations

import gc
from pathlib import Path

import comfy.model_management as mm
import full_size
import torch

from nodes import common_ksampler  # type: ignore[reportAttributeAccessIssue]  # of ComfyUI, not ours

TOLERANCE = {torch.float32: 0.01}  # of every difference, relative to the norm; below HALF for other dtypes
HALF = 0.1
REPORTED = ("resident", "own check, encoder", "own check, network")  # and compared with nothing
GIB = 2**30
LEFT_GIB = 3.0  # of the device, where it is to be short of memory: less than the larger networks take
NORMAL = mm.vram_state


def is_dynamic() -> bool:
    return full_size.MEMORY is not None and full_size.MEMORY.aimdo_enabled


def measure(case: str, load, weights: Path, quick: bool, short: bool) -> dict:
    """The record of "model dtype"; `weights` is the folder of their files."""
    name, dtype_name = case.split()
    dtype = getattr(torch, dtype_name)
    work = Work(name, dtype, load, weights, quick)
    ballast = None
    try:
        exact = work.exact()
        mm.unload_all_models()
        freed()
        if short:
            free = torch.cuda.mem_get_info()[0]
            ballast = torch.empty(max(0, int(free - LEFT_GIB * GIB)), dtype=torch.uint8, device="cuda")
        values = work.compared(exact, trains=not short)
    finally:
        del ballast
        mm.unload_all_models()
        freed()
    allowed = TOLERANCE.get(dtype, HALF)
    above = [key for key, value in values.items() if key not in REPORTED and not value <= allowed]
    if above:
        reason = f"not what plain torch computes, at most {allowed} is rounding: {', '.join(above)}"
        return {"status": "failed", "reason": reason, "values": values}
    return {"status": "ok", "values": values}


def freed() -> None:
    gc.collect()
    mm.soft_empty_cache()


class Work:
    """The models of a case and the questions to them.

    Args:
        load: imports a submodule of the pack.
    """

    def __init__(self, name: str, dtype: torch.dtype, load, weights: Path, quick: bool) -> None:
        self.dtype, self.load = dtype, load
        *_, self.width, self.pooled, self.channels = full_size.SHAPES[name]
        self.autoencoder_dtype = torch.bfloat16 if dtype.itemsize == 1 else dtype
        self.network = full_size.network_file(weights, name, dtype, quick)
        self.autoencoder = full_size.autoencoder_file(weights, self.channels)
        self.size = 64 if quick else 256
        generator = torch.Generator().manual_seed(2)
        cells = self.size // 8
        self.images = torch.rand(1, 3, self.size, self.size, generator=generator)
        self.latents = torch.randn(1, self.channels, cells, cells, generator=generator)
        self.weights = torch.randn(1, self.channels, cells, cells, generator=generator)

    def conditioning(self, seed: int) -> list:
        generator = torch.Generator().manual_seed(100 + seed)
        pooled = torch.randn(1, self.pooled, generator=generator)
        return [[torch.randn(1, 77, self.width, generator=generator), {"pooled_output": pooled}]]

    def exact(self) -> dict[str, list[torch.Tensor]]:
        """The truth: the encoder by torch alone, the network with weights that nothing moves."""
        mm.vram_state = mm.VRAMState.NORMAL_VRAM if mm.get_torch_device().type != "cpu" else NORMAL
        with torch.inference_mode(), full_size.static():
            model = full_size.plain_network(self.network, self.dtype)
            vae = full_size.load_autoencoder(self.autoencoder, self.autoencoder_dtype)
        try:
            found = self.run(model, vae, trains=True)
            return found | self.run(model, vae, trains=False, plain=True)
        finally:
            mm.vram_state = NORMAL

    def run(self, model, vae, trains: bool, plain: bool = False) -> dict[str, list[torch.Tensor]]:
        """A run's encoder and predictions, or the network as a method that trains a LoRA uses it."""
        bridge, conditioning = self.load("nodes.bridge.prior"), self.load("nodes.bridge.conditioning")
        condition = conditioning.to_condition(self.conditioning(0))
        body = self.lora if trains else self.encoder

        with torch.inference_mode():
            return bridge.with_prior(
                model, vae, [condition], (1, self.size, self.size), lambda prior: body(prior, condition, plain), trains
            )

    def encoder(self, prior, condition, plain: bool) -> dict[str, list[torch.Tensor]]:
        device = mm.get_torch_device()
        leaf = self.images.to(device).requires_grad_()
        if plain:
            dtype = prior._autoencoder.dtype
            encode = full_size.plain_encoder(self.autoencoder, self.channels, device, dtype)
            latents = prior._inner.process_latent_in(encode(leaf * 2 - 1))
        else:
            latents = prior.encode(leaf)
        t = torch.tensor([prior.schedule.n_timesteps // 3], device=device)
        predicted = prior.predict_noise(self.latents.to(device), t, [[condition]])  # between forward and backward
        (latents * self.weights.to(device)).sum().backward()
        assert leaf.grad is not None
        return {"latents": [latents.detach().cpu()], "encoder": [leaf.grad.cpu()], "predictions": [predicted[0].cpu()]}

    def lora(self, prior, condition, plain: bool) -> dict[str, list[torch.Tensor]]:
        adapters, guidance = self.load("tbsd_core.optim.adapter"), self.load("tbsd_core.guidance")
        device = mm.get_torch_device()
        adapter = adapters.create_adapter(prior, guidance.build_guidance("vsd"), 0).adapter
        generator = torch.Generator().manual_seed(5)
        for up in adapter.up:  # a new one is zero there, and its gradient in `down` too
            up.data.copy_(0.1 * torch.randn(up.shape, generator=generator))
        t = torch.tensor([prior.schedule.n_timesteps // 2], device=device)
        x_t = self.latents.to(device)
        adapter.training_loss(x_t, t, [condition], None, torch.zeros_like(x_t)).backward()
        used = [p.grad for p in adapter.parameters() if p.grad is not None]
        return {"network": [torch.cat([grad.flatten() for grad in used]).cpu()]}

    def compared(self, exact: dict[str, list[torch.Tensor]], trains: bool) -> dict[str, float]:
        """Relative differences on models of this mode that a KSampler and a VAE Encode have used, and the findings of
        the pack's own checks."""
        with torch.inference_mode():
            model = full_size.load_network(self.network, self.dtype)
            vae = full_size.load_autoencoder(self.autoencoder, self.autoencoder_dtype)
            before = vae.encode(self.images.movedim(1, -1)).cpu()
            empty = {"samples": torch.zeros_like(self.latents)}
            prompts = self.conditioning(0), self.conditioning(1)
            common_ksampler(model, 0, 2, 2.0, "euler", "normal", *prompts, empty)
            resident = model.loaded_size() / model.model_size()
        with OwnChecks(self.load("nodes.bridge.autoencoder"), self.load("nodes.bridge.prior")) as checked:
            found = self.run(model, vae, trains=False)
            if trains:
                found |= self.run(model, vae, trains=True)
        with torch.inference_mode():
            after = vae.encode(self.images.movedim(1, -1)).cpu()
        gaps = {name: gap(found[name], exact[name]) for name in found}
        return {**gaps, "afterwards": gap([after], [before]), "resident": resident, **checked}


class OwnChecks:
    """Inside, the errors that the pack's checks of gradients find at the start of a run are kept."""

    def __init__(self, *modules) -> None:
        self.modules, self.found = modules, {}

    def __enter__(self) -> dict[str, float]:
        self.originals = [module.derivative_error for module in self.modules]
        for module, original in zip(self.modules, self.originals, strict=True):
            name = f"own check, {'encoder' if module is self.modules[0] else 'network'}"
            module.derivative_error = self.keeping(original, name)
        return self.found

    def keeping(self, original, name: str):
        def derivative_error(*arguments, **options) -> float:
            self.found[name] = original(*arguments, **options)
            return self.found[name]

        return derivative_error

    def __exit__(self, *error) -> None:
        for module, original in zip(self.modules, self.originals, strict=True):
            module.derivative_error = original


def gap(found: list[torch.Tensor], exact: list[torch.Tensor]) -> float:
    """The largest difference relative to the norm; infinite where something is not finite."""
    errors = [float((a.float() - b.float()).norm() / b.float().norm()) for a, b in zip(found, exact, strict=True)]
    return max(error if error == error else float("inf") for error in errors)
