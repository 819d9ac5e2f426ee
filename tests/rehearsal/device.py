"""A pretend accelerator: it finds device bugs and waits on a machine that has no GPU.

Its tensors keep their data on the CPU and report another device. Every ATen op runs on the CPU, once it is checked
that CUDA would have run it: all tensors on one device, but for what CUDA lets pass (a number as a 0-dim CPU tensor
in a pointwise op, CPU indices into a tensor of the device). Calls that CUDA refuses raise its RuntimeError here.
`Watch` counts what makes a GPU wait or idle: kernels, points at which the host waits for the device, and bytes.

    import device                                       # this file alone, by its folder on sys.path
    device.install()                                    # once in a process, before the first backward
    scene.to("pretend")
    with device.Watch(roots=["tbsd_core"]) as watch:
        for record in optimize(...):
            step = watch.lap()                          # since the last lap
            print(step.kernels, step.syncs, step.waits())
    print(watch.total.report())                         # every wait by file, line and op

It changes torch for the whole process, so its users run in processes of their own (see inside/).

Like CUDA: device errors, CPU generators refused for draws on the device, `.numpy()` refused, "cuda" is not "cuda:0",
Adam's foreach and fused paths, parameters that stay the same objects under `module.to`, events. Unlike CUDA: there are
no streams (each copy is over when it returns, and is counted as a wait when CUDA's would be one), no generator of the
device, no autocast, no kernels but ATen's (`tensor.is_cuda` is False), float sums are the CPU's, memory is what tensors
hold, without the workspace of kernels and the caching allocator's rounding. One op counts as one kernel: some launch
several.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "pretend"
CPU = torch.device("cpu")
HERE = os.path.abspath(__file__)
aten = torch.ops.aten

# CUDA's way with an op, named after its packet ("index_put_" and not "index_put_.default")

ANY_DEVICE = {"copy_", "_to_copy", "_copy_from", "_copy_from_and_resize", "set_", "record_stream"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
NUMBERS = INDEXING | {"where", "masked_fill", "masked_fill_", "fill_", "fill", "index_fill", "index_fill_"}
FREE = {"_unsafe_view", "_reshape_alias", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
# how often the host waits in it: a size or a check depends on the data
DATA_DEPENDENT = {
    **dict.fromkeys(("nonzero", "masked_select", "argwhere", "equal", "_local_scalar_dense", "histc"), 1),
    **dict.fromkeys(("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"), 1),
    **dict.fromkeys(("linalg_solve_ex", "_linalg_eigh", "_linalg_svd", "linalg_lstsq", "linalg_eig"), 1),
    **{"repeat_interleave": 2, "bincount": 2},  # the length, and that nothing is negative
}


def is_on_device(x: Any) -> bool:
    return isinstance(x, PretendTensor)


def _leaves(args: tuple, kwargs: dict) -> list:
    """The arguments of an op; a list is all that they can be nested in."""
    found = []
    for x in (*args, *kwargs.values()):
        if isinstance(x, (list, tuple)):
            found += x
        else:
            found.append(x)
    return found


def _each_of(change, x: Any) -> Any:
    """`change` of a value, or of each in a list or tuple of them."""
    return type(x)(map(change, x)) if type(x) in (list, tuple) else change(x)


def _name(func) -> str:
    return func.overloadpacket.__name__


@cache
def _writes(func) -> tuple[tuple[int, str], ...]:
    """Place and name of the arguments that an op writes to; -1 for what has a name only."""
    arguments = enumerate(func._schema.arguments)
    return tuple(
        (-1 if a.kwarg_only else i, a.name) for i, a in arguments if a.alias_info is not None and a.alias_info.is_write
    )


@cache
def _is_composite(func) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def mismatch(func, args: tuple, kwargs: dict) -> str | None:
    """CUDA's complaint about these arguments; None if it would run."""
    name, flat = _name(func), _leaves(args, kwargs)
    generator = next((x for x in flat if isinstance(x, torch.Generator)), None)
    if generator is not None and generator.device.type != NAME:
        return f"Expected a '{NAME}' device type for generator but found '{generator.device.type}'"
    host = [x for x in flat if isinstance(x, Tensor) and not is_on_device(x)]
    if not host or name in ANY_DEVICE:
        return None
    if name in INDEXING:
        if not is_on_device(args[0]):
            return f"indices should be either on cpu or on the same device as the indexed tensor (cpu), in {func}"
        indices = [id(x) for x in args[1] if isinstance(x, Tensor)]
        host = [x for x in host if id(x) not in indices]
    numbers = name in NUMBERS or name.startswith(("_foreach_", "_fused_")) or torch.Tag.pointwise in func.tags
    written = [id(x) for x in _written(func, args, kwargs)]
    wrong = [x for x in host if x.ndim or not numbers or (id(x) in written and not name.startswith("_f"))]
    if not wrong:
        return None
    shapes = ", ".join(f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}" for x in wrong)
    return (
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{NAME}:0 and cpu! (in {func}; on the cpu: {shapes})"
    )


def _written(func, args: tuple, kwargs: dict) -> list[Tensor]:
    found = []
    for i, name in _writes(func):
        value = args[i] if 0 <= i < len(args) else kwargs.get(name)
        found += [x for x in _leaves((value,), {}) if isinstance(x, Tensor)]
    return found


def waits(func, args: tuple, kwargs: dict, out: Any) -> tuple[str, int]:
    """("", 0), or why and how often the host waits for the device in an op."""
    name = _name(func)
    if name in DATA_DEPENDENT:
        if name == "repeat_interleave" and kwargs.get("output_size") is not None:
            return "", 0
        return ("item" if name == "_local_scalar_dense" else name), DATA_DEPENDENT[name]
    if name == "copy_" and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2])):
        # from memory that is not pinned non_blocking does not help much either, but CUDA does not call it a wait
        if is_on_device(args[0]) != is_on_device(args[1]):
            return ("to device" if is_on_device(args[0]) else "to host"), 1
    if name == "_to_copy" and isinstance(out, Tensor) and not is_on_device(out) and not kwargs.get("non_blocking"):
        return "to host", 1
    if name in INDEXING:
        masks = [x for x in args[1] if _is_mask(x)]
        fills = "put" in name and args[2].numel() == 1 and not (len(args) > 3 and args[3])  # as masked_fill
        n = 0 if fills and len(masks) == len(args[1]) else sum(is_on_device(x) for x in masks)
        n += sum(isinstance(x, Tensor) and not is_on_device(x) for x in args[1])
        return ("mask or host index", n) if n else ("", 0)
    return "", 0


# Tensors


class _Held:
    """Bytes of a storage, counted while any tensor of the device has it."""

    WHEN = {"current": "now", "peak": "peak"}
    alive: Counter = Counter()  # tensors by storage
    now = peak = 0
    limit = 80 << 30

    def __init__(self, inner: Tensor) -> None:
        storage = inner.untyped_storage()
        self.key = (storage.data_ptr(), storage.nbytes())
        if not self.alive[self.key]:
            _Held.now += self.key[1]
        self.alive[self.key] += 1
        if _Held.now > _Held.limit:
            raise torch.OutOfMemoryError(f"{NAME} out of memory. Tried to allocate {self.key[1]} bytes.")
        _Held.peak = max(_Held.peak, _Held.now)

    def __del__(self) -> None:
        self.alive[self.key] -= 1
        if not self.alive[self.key]:
            del self.alive[self.key]
            _Held.now -= self.key[1]


class PretendTensor(torch.Tensor):
    """A tensor of the pretend device around one of the CPU."""

    inner: Tensor
    has_double = True
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> PretendTensor:
        if inner.dtype == torch.float64 and not cls.has_double:
            raise TypeError(f"Cannot convert a {NAME} Tensor to float64 dtype: the framework doesn't support float64.")
        if inner.is_inference() == torch.is_inference_mode_enabled():
            self = cls._around(inner)
        else:
            with torch.inference_mode(inner.is_inference()):  # a view of a normal tensor is one in inference mode, too
                self = cls._around(inner)
        self.inner, self._held = inner, _Held(inner)
        return self

    @classmethod
    def _around(cls, inner: Tensor) -> PretendTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(NAME, 0),
        )

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if _is_composite(func):  # comes here in inference mode only; its parts are what is checked and counted
            return func.decompose(*args, **(kwargs or {}))
        return _run(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"{self.inner!r:.{2000}}@{NAME}"

    def __reduce_ex__(self, protocol):
        return _to_device, (self.inner, self.requires_grad)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = PretendTensor(self.inner.clone()).requires_grad_(self.requires_grad)
            copy.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("inner", "_held")})
            memo[id(self)] = copy
        return memo[id(self)]

    # what C++ refuses to any subclass, as CUDA has it
    def numpy(self, *, force: bool = False):
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            "first."
        )

    def tolist(self):
        return self.detach().cpu().tolist()

    def untyped_storage(self):
        return self.inner.untyped_storage()

    def set_(self, storage, offset, size, stride):  # not in place: a wrapper keeps its shape
        return PretendTensor(torch.empty(0, dtype=self.dtype).set_(storage, offset, size, stride))

    def data_ptr(self) -> int:
        return self.inner.data_ptr()


def _to_device(inner: Tensor, requires_grad: bool) -> PretendTensor:
    return PretendTensor(inner).requires_grad_(requires_grad)


def _set_data(self: Tensor, value: Tensor) -> None:
    """`tensor.data = value`, which CUDA allows across devices: the object stays, what it holds changes."""
    if is_on_device(self) != is_on_device(value):
        value, trained, grad = value.detach(), self.requires_grad, self.grad
        with torch.inference_mode(value.is_inference()):
            value = torch.nn.Parameter(value, trained) if isinstance(self, torch.nn.Parameter) else value
        torch.utils.swap_tensors(self, value)
        self.grad = None if grad is None else grad.to(self.device)
    else:
        torch._C.TensorBase.data.__set__(self, value)
        if is_on_device(self):
            self.inner, self._held = value.inner, value._held


def _inside(x: Any) -> Any:
    if is_on_device(x):
        return x.inner
    return CPU if type(x) is torch.device else x


def _check(func, args: tuple, kwargs: dict) -> None:
    problem = mismatch(func, args, kwargs)
    if problem is not None:
        _each(lambda watch: watch._mismatch(problem))
        if not any(watch.on_mismatch == "record" for watch in _watches):
            raise RuntimeError(problem)


def _run(func, args: tuple, kwargs: dict) -> Any:
    """An op with a tensor of the device among its arguments."""
    _check(func, args, kwargs)
    target = kwargs.get("device")
    inner_args = [_each_of(_inside, x) for x in args]
    inner_kwargs = {name: _each_of(_inside, x) for name, x in kwargs.items()}
    written = _written(func, args, kwargs)
    out = func(*inner_args, **inner_kwargs)
    for x in written:
        if is_on_device(x) and (x.shape != x.inner.shape or x.stride() != x.inner.stride()):
            raise NotImplementedError(f"{func} changes the shape of a tensor in place, which the rehearsal cannot do.")
    if target is None or torch.device(target).type == NAME:
        own = {id(_inside(x)): x for x in written}
        out = _each_of(lambda x: own.get(id(x)) if id(x) in own else _wrapped(x), out)
    _tell(func, args, kwargs, out)
    return out


def _tell(func, args: tuple, kwargs: dict, out: Any) -> None:
    _Launched.kernels += _launches(func)
    _each(lambda watch: watch._op(func, args, kwargs, out))


def _launches(func) -> bool:
    return not (func.is_view or _name(func) in FREE)


def _wrapped(x: Any) -> Any:
    return PretendTensor(x) if isinstance(x, Tensor) and not is_on_device(x) else x


# The device


class Event:
    """The `torch.cuda.Event` of this device. The host that asks for it waits, unless the device has been asked for more
    since and so has work while it waits: then `Lap.late_waits` counts it."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.at, self.kernels = 0.0, -1

    def record(self, stream=None) -> None:
        self.at, self.kernels = time.perf_counter(), _Launched.kernels

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        _each(lambda watch: watch._event(idle=self.kernels == _Launched.kernels))

    def elapsed_time(self, end: Event) -> float:
        return 1e3 * (end.at - self.at)


class _Launched:
    kernels = 0  # by this process


class Module:
    """The module `torch.pretend`: the functions that `torch.cuda` has under the same names."""

    Event = Event

    def is_initialized(self) -> bool:
        return True

    is_available = is_initialized

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def current_stream(self, device=None) -> None: ...

    def get_device_name(self, device=None) -> str:
        return "a pretend device"

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def empty_cache(self) -> None: ...

    def synchronize(self, device=None) -> None: ...

    def manual_seed_all(self, seed: int) -> None: ...

    manual_seed = manual_seed_all

    def get_rng_state(self, device=None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device=None) -> None:
        torch.set_rng_state(state)

    def mem_get_info(self, device=None) -> tuple[int, int]:
        return _Held.limit - _Held.now, _Held.limit

    def memory_stats(self, device=None) -> dict[str, int]:
        names = ("reserved_bytes", "active_bytes", "allocated_bytes")
        return {f"{name}.all.{when}": getattr(_Held, at) for name in names for when, at in _Held.WHEN.items()}

    def memory_allocated(self, device=None) -> int:
        return _Held.now

    def max_memory_allocated(self, device=None) -> int:
        return _Held.peak

    def reset_peak_memory_stats(self, device=None) -> None:
        _Held.peak = _Held.now


def install(name: str = NAME, memory: int = 80 << 30, double: bool = True) -> None:
    """Register the device, once in a process and before the first backward: `tensor.data` reaches it, too.

    Args:
        name: what tensors report. With "npu", and an empty module `torch_npu` in sys.modules, ComfyUI takes it for an
            accelerator that it knows.
        memory: bytes that it has; holding more raises torch.OutOfMemoryError.
        double: whether it has float64; Apple's devices have none.
    """
    from torch.optim import optimizer
    from torch.utils import _foreach_utils, backend_registration

    global NAME
    NAME, _Held.limit, PretendTensor.has_double = name, memory, double
    backend_registration._setup_privateuseone_for_python_backend(NAME, Module())
    for name in torch._C._dispatch_get_all_op_names():
        if not name.startswith("aten::"):
            continue
        packet, _, overload = name.removeprefix("aten::").partition(".")
        func = getattr(getattr(aten, packet), overload or "default", None)
        if func is not None and _makes_tensors(func):
            torch.library.impl(name, "PrivateUse1")(_factory(func))
    torch.library.impl("aten::_copy_from", "PrivateUse1")(_copy_from)  # what torch.tensor(..., device=) comes to
    # as on CUDA, a parameter stays the same object when its module moves (an optimiser may hold it), and Adam
    # works on lists
    torch.Tensor.data = property(torch._C.TensorBase.data.__get__, _set_data)
    alike = torch._has_compatible_shallow_copy_type

    def compatible(input: Tensor, from_: Tensor) -> bool:  # noqa: A002 (torch compares the names)
        return is_on_device(input) or is_on_device(from_) or alike(input, from_)

    torch._has_compatible_shallow_copy_type = compatible
    for types in (_foreach_utils._foreach_supported_types, optimizer._foreach_supported_types):
        types.append(PretendTensor)


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    return _run(aten.copy_.default, (target, source, non_blocking), {})


def _makes_tensors(func) -> bool:
    arguments = {a.name: str(a.type) for a in func._schema.arguments}
    return "device" in arguments and not any("Tensor" in t for t in arguments.values()) and not _is_composite(func)


def _factory(func):
    def make(*args, **kwargs):
        _check(func, args, kwargs)
        kwargs = {**kwargs, "device": CPU, "pin_memory": False}
        known = {a.name for a in func._schema.arguments}
        out = PretendTensor(func(*args, **{k: v for k, v in kwargs.items() if k in known}))
        _tell(func, args, {}, out)
        return out

    return make


# Counting

_watches: list[Watch] = []


def _each(do) -> None:
    """Every watch that is entered hears of all events."""
    for watch in _watches:
        do(watch)


@dataclass
class Lap:
    """The events between two laps.

    Args:
        ops: ops on the device, by name, with views and allocations, which launch nothing.
        kernels: those that launch; places: the same by "file:line".
        syncs: how often the host waited for the device; sync_places: by (place, op, why).
        host_ops: ops on CPU tensors alone.
        mismatches: what CUDA would have refused, by (place, message).
        late_waits: events the host waited for while the device had work; not among the syncs.
        uploads: copies to the device; upload_bytes: what they copied.
        peak_bytes: the most that tensors of the device held at once.
    """

    ops: Counter = field(default_factory=Counter)
    kernels: int = 0
    places: Counter = field(default_factory=Counter)
    syncs: int = 0
    sync_places: Counter = field(default_factory=Counter)
    host_ops: int = 0
    mismatches: Counter = field(default_factory=Counter)
    late_waits: int = 0
    uploads: int = 0
    upload_bytes: int = 0
    peak_bytes: int = 0

    def waits(self) -> dict[str, int]:
        """Waits by reason."""
        found: Counter = Counter()
        for (_, _, why), n in self.sync_places.items():
            found[why] += n
        return dict(found.most_common())

    def __iadd__(self, other: Lap) -> Lap:
        for name in ("ops", "places", "sync_places", "mismatches"):
            getattr(self, name).update(getattr(other, name))
        for name in ("kernels", "syncs", "host_ops", "late_waits", "uploads", "upload_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        return self

    def report(self, n: int = 20, laps: int = 1) -> str:
        """The most frequent waits, kernels and all mismatches, divided by a number of laps."""
        lines = [
            f"{self.kernels / laps:.0f} kernels, {self.syncs / laps:.1f} waits, {self.host_ops / laps:.0f} ops on the "
            f"host, at most {self.peak_bytes / 2**20:.1f} MiB held"
        ]
        for (place, text), count in self.mismatches.most_common():
            lines.append(f"  MISMATCH {count} x {place}: {text}")
        for (place, op, why), count in self.sync_places.most_common(n):
            lines.append(f"  wait {count / laps:6.1f} x {place}  {op} ({why})")
        for place, count in self.places.most_common(n):
            lines.append(f"  kernels {count / laps:6.1f} x {place}")
        return "\n".join(lines)


class Watch(TorchDispatchMode):
    """Counts while it is entered; `lap()` gives what came since the last one, `total` all of it.

    Args:
        roots: parts of paths; a place is the innermost line of a file whose path has one of them.
        on_mismatch: "raise" as CUDA does, or "record" and go on as if the tensor had been moved.
    """

    def __init__(self, roots: Sequence[str] = (), on_mismatch: str = "raise") -> None:
        super().__init__()
        self.roots, self.on_mismatch = tuple(roots), on_mismatch
        self._laps, self._now = Lap(), Lap()
        self._known: dict[str, int] = {}  # see _root_of

    @property
    def total(self) -> Lap:
        self.lap()
        return self._laps

    def lap(self) -> Lap:
        done, self._now = self._now, Lap()
        done.peak_bytes = max(done.peak_bytes, _Held.peak)
        _Held.peak = _Held.now
        self._laps += done
        return done

    def __enter__(self):
        _watches.append(self)
        _Held.peak = _Held.now
        return super().__enter__()

    def __exit__(self, *error):
        _watches.remove(self)
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not any(is_on_device(x) or (isinstance(x, torch.device) and x.type == NAME) for x in _leaves(args, kwargs)):
            self._now.host_ops += 1
        return func(*args, **kwargs)

    def _op(self, func, args: tuple, kwargs: dict, out: Any) -> None:
        name = _name(func)
        self._now.ops[name] += 1
        launches = _launches(func)
        why, n = waits(func, args, kwargs, out)
        if name in ("copy_", "_to_copy") and is_on_device(out) and not is_on_device(args[name == "copy_"]):
            self._now.uploads += 1
            self._now.upload_bytes += out.nbytes
        if launches or n:
            place = self._place()
            if launches:
                self._now.kernels += 1
                self._now.places[place] += 1
            if n:
                self._now.syncs += n
                self._now.sync_places[place, name, why] += n

    def _event(self, idle: bool) -> None:
        if idle:
            self._now.syncs += 1
            self._now.sync_places[self._place(), "synchronize", "event"] += 1
        else:
            self._now.late_waits += 1

    def _mismatch(self, text: str) -> None:
        self._now.mismatches[self._place(), text] += 1

    def _place(self) -> str:
        frame, last = sys._getframe(1), None
        while frame is not None:
            path = frame.f_code.co_filename
            root = self._root_of(path)
            if root >= 0:
                return f"{path[root:]}:{frame.f_lineno}"
            if last is None and path != HERE and "/torch/" not in path:
                last = frame
                if not self.roots:
                    break
            frame = frame.f_back
        return "(backward)" if last is None else f"{last.f_code.co_filename}:{last.f_lineno}"

    def _root_of(self, path: str) -> int:
        """Where in a path the last of the roots begins, -1 for none."""
        if path not in self._known:
            self._known[path] = -1 if path == HERE else max((path.rfind(root) for root in self.roots), default=-1)
        return self._known[path]
