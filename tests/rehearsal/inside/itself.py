"""The pretend device against what is known of CUDA; prints a JSON object of what it did."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import device  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

device.install(memory=1 << 30)
DEVICE = torch.device(device.NAME)
x, host = torch.randn(5, 3, device=DEVICE), torch.randn(5, 3)
rows, mask = torch.tensor([0, 2]), host[:, 0] > 0


def error(attempt: Callable[[], object]) -> str:
    """The error that it raises, "" for none."""
    try:
        attempt()
    except (RuntimeError, TypeError) as raised:
        return type(raised).__name__
    return ""


def n_waits(do: Callable[[], object]) -> int:
    with device.Watch() as watch:
        do()
    return watch.total.syncs


def event(work_after: bool) -> tuple[int, int]:
    """Waits and late waits of a host that asks for an event."""
    with device.Watch() as watch:
        marked = torch.pretend.Event(enable_timing=True)
        marked.record()
        if work_after:
            _ = x + 1
        marked.synchronize()
    return watch.total.syncs, watch.total.late_waits


REFUSED = {
    "add": lambda: x + host,
    "mm": lambda: x @ host.T,
    "cat": lambda: torch.cat([x, host]),
    "stack of numbers": lambda: torch.stack([x[0, 0], host[0, 0]]),
    "add_ into a host number": lambda: host[0, 0].add_(x[0, 0]),
    "index_select": lambda: x.index_select(0, rows),
    "gather": lambda: x.gather(0, rows[:, None]),
    "host[device]": lambda: host[rows.to(DEVICE)],
    "linear": lambda: F.linear(x, host),
    "grid_sample": lambda: F.grid_sample(x[None, None], host[None, None, :, :2]),
    "generator": lambda: torch.randn(3, device=DEVICE, generator=torch.Generator()),
    "generator in place": lambda: x.clone().normal_(generator=torch.Generator()),
    "numpy": lambda: x.numpy(),
}
ALLOWED = {
    "number of the host": lambda: x * host[0, 0],
    "host rows": lambda: x[rows],
    "host mask": lambda: x[mask],
    "where": lambda: torch.where(x > 0, x, torch.tensor(0.0)),
    "there and back": lambda: x.to("cpu").to(DEVICE),
}
WAITS = {
    "item": (lambda: float(x[0, 0]), 1),
    "bool": (lambda: bool((x > 0).any()), 1),
    "tolist": (lambda: x.tolist(), 1),
    "cpu": (lambda: x.cpu(), 1),
    "to device": (lambda: host.to(DEVICE), 1),
    "to device, later": (lambda: host.to(DEVICE, non_blocking=True), 0),
    "to host, later": (lambda: torch.empty(5, 3).copy_(x, non_blocking=True), 0),
    "tensor": (lambda: torch.tensor([1.0, 2.0], device=DEVICE), 1),
    "zeros": (lambda: torch.zeros(3, device=DEVICE), 0),
    "nonzero": (lambda: (x > 0).nonzero(), 1),
    "mask": (lambda: x[x > 0], 1),
    "mask filled": (lambda: x.clone().masked_fill_(x > 0, 0.0), 0),
    "mask set to a number": (lambda: x.clone().__setitem__(x > 0, 0.0), 0),
    "rows": (lambda: x[rows.to(DEVICE)], 1),
    "host rows": (lambda: x[rows], 1),
    "matmul": (lambda: x @ x.T, 0),
}


def written() -> bool:
    y = x.clone()
    y[rows] = 0.0
    y[:, 1] += 2
    same = torch.equal(y.cpu()[rows, 0], torch.zeros(2))
    return same and torch.arange(4, device=DEVICE).tolist() == [0, 1, 2, 3]


def trained(fused: bool | None) -> dict[str, object]:
    """A module of the device and its twin on the CPU after three steps; their optimisers are older than the move."""
    layers, twin = (
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GroupNorm(2, 4), torch.nn.Linear(4, 1)) for _ in range(2)
    )
    twin.load_state_dict(layers.state_dict())
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.1, fused=fused) for m in (layers, twin)]
    layers.to(DEVICE)
    with device.Watch() as watch:
        for m, batch, optimizer in zip((layers, twin), (x, x.inner), optimizers, strict=True):
            for _ in range(3):
                optimizer.zero_grad()
                m(batch).square().sum().backward()
                optimizer.step()
    weight, stays = layers[0].weight, True
    for place in ("cpu", DEVICE):
        layers.to(place)
        stays &= layers[0].weight is weight and weight.is_leaf and weight.requires_grad
        stays &= weight.device.type == weight.grad.device.type == torch.device(place).type
    return {
        "equal": all(
            a.device == x.device and torch.allclose(a.detach().cpu(), b.detach(), atol=1e-6)
            for a, b in zip(layers.parameters(), twin.parameters(), strict=True)
        ),
        "stays": stays,
        "syncs": watch.total.syncs,
        "kernels": watch.total.kernels,
        "ops": dict(watch.total.ops),
    }


def inference() -> bool:
    with torch.inference_mode():
        made = x + 1
        kinds = not x.detach().view(-1).is_inference() and made.is_inference()
        return kinds and n_waits(lambda: made.to("cpu")) == 1 and made.cpu().data_ptr() != made.data_ptr()


def held() -> list[int]:
    """Bytes that 4 MiB and a view of them hold, and what is left of them afterwards."""
    gc.collect()
    before = torch.pretend.memory_allocated()
    big = torch.zeros(1 << 20, device=DEVICE)
    also = big.view(2, -1)
    most = torch.pretend.memory_allocated() - before
    del big, also
    return [most, torch.pretend.memory_allocated() - before]


def recorded() -> int:
    with device.Watch(on_mismatch="record") as watch:
        _ = x + host
    return len(watch.total.mismatches)


def uploads() -> list[int]:
    with device.Watch() as watch:
        host.to(DEVICE)
        x.cpu()
    return [watch.total.uploads, watch.total.upload_bytes]


report = {
    "names": [str(x.device), x.device == DEVICE, x.is_cpu],
    "refused": {name: error(attempt) for name, attempt in REFUSED.items()},
    "allowed": {name: str(attempt().device) for name, attempt in ALLOWED.items()},
    "waits": {name: [n_waits(do), expected] for name, (do, expected) in WAITS.items()},
    "events": [event(True), event(False)],
    "written": written(),
    "foreach": trained(None),
    "fused": trained(True),
    "inference": inference(),
    "held": held(),
    "recorded": recorded(),
    "uploads": uploads(),
    "out of memory": error(lambda: torch.empty(2 << 30, dtype=torch.uint8, device=DEVICE)),
}
print(json.dumps(report))
