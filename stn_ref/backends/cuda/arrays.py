"""Arrays in and out: what a caller gives, where it lies, and how a result goes back.

Whatever has a `__cuda_array_interface__` (tensors of torch, arrays of CuPy and JAX, Numba's own) is
read where it lies, with its strides, on its caller's current stream; a result is a new array of
torch or CuPy if U was one, else one of Numba's. What lies in the host's memory is copied in and
out, in the order of its axes in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from stn_ref.backends.cuda.device import SIMULATED
from stn_ref.equations.arguments import Array

GPU = 2  # DLPack's number for CUDA's memory
LEGACY = 1  # the default stream's number in __cuda_array_interface__, where 0 is not allowed


def library(value: Any) -> str | None:
    """Whose array it is, if it is on a GPU: "torch", "cupy" or, for all others, "numba"."""
    if isinstance(value, np.ndarray):
        return None
    value = _detached(value)
    if not hasattr(value, "__cuda_array_interface__"):
        if hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] == GPU:
            raise TypeError(
                f"a {type(value).__name__} on a GPU has no __cuda_array_interface__: "
                "pass torch.from_dlpack(…) or cupy.from_dlpack(…) of it"
            )
        return None
    name = type(value).__module__.split(".")[0]
    return name if name in ("torch", "cupy") else "numba"


def shadow(value: Any) -> Array:
    """The array itself, or one of the same shape and dtype that takes no memory, to be checked."""
    if library(value) is None:
        return np.asarray(value)
    face = _interface(value)
    return np.broadcast_to(np.zeros((), np.dtype(face["typestr"])), face["shape"])


class Flat(NamedTuple):
    """An array as kernels take it: its memory, where its first element lies, and its steps."""

    memory: Any
    start: int
    steps: tuple[int, ...]
    shape: tuple[int, ...]


def flat(name: str, value: Any, stream: Any) -> Flat:
    """The array on the GPU: where it lies, or copied there.

    Raises ValueError if its elements do not lie at whole multiples of their size.
    """
    if library(value) is None:
        array = np.asarray(value)
        order, steps = layout(array)
        dense = np.ascontiguousarray(array.transpose(order)).reshape(-1)
        return Flat(upload(dense), 0, steps, array.shape)
    face = _interface(value)
    _wait(value, face, stream)
    shape, size = face["shape"], np.dtype(face["typestr"]).itemsize
    strides = face.get("strides") or [size * prod(shape[k + 1 :]) for k in range(len(shape))]
    low = sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    if any(s % size for s in strides) or face["data"][0] % size:
        raise ValueError(f"{name} has strides {tuple(strides)}; expected multiples of {size} bytes")
    if 0 in shape:
        return Flat(empty(1, np.dtype(face["typestr"])), 0, (0,) * len(shape), shape)
    whole = {
        "shape": ((high - low) // size + 1,),
        "strides": None,
        "version": 3,
        "typestr": face["typestr"],
        "data": (face["data"][0] + low, False),
    }
    memory = cuda.from_cuda_array_interface(whole, owner=value, sync=False)
    # an axis of one element may have any stride, one too long for 32 bits too
    steps = tuple(s // size if n > 1 else 0 for n, s in zip(shape, strides, strict=True))
    return Flat(memory, -low // size, steps, shape)


def layout(array: Any) -> tuple[list[int], tuple[int, ...]]:
    """The axes in the order of memory, outermost first, and the steps of a dense array like it."""
    strides, shape = _strides(array), shadow(array).shape
    order = sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]) or -np.inf)
    steps, step = [0] * len(order), 1
    for axis in reversed(order):
        steps[axis] = step
        step *= shape[axis]
    return order, tuple(steps)


class Result:
    """A new array in the library of U, its axes in memory in the order of another's or dense."""

    def __init__(
        self, kind: str | None, like: Any, shape: tuple[int, ...], dtype: Any, dense: bool = False
    ) -> None:
        self.kind, self.like, self.shape = kind, like, shape
        self.order = list(range(len(shape))) if dense else layout(like)[0]
        inner = [shape[axis] for axis in self.order]
        if kind in ("torch", "cupy"):
            module, name = import_module(kind), np.dtype(dtype).name
            where = {"device": like.device} if kind == "torch" else {}
            self.array = module.empty(tuple(inner), dtype=getattr(module, name), **where)
            memory = cuda.as_cuda_array(self.array.reshape(-1), sync=False) if prod(shape) else None
        else:
            memory = self.array = empty(max(prod(shape), 1), dtype)
        steps, step = [0] * len(shape), 1
        for axis in reversed(self.order):
            steps[axis], step = step, step * shape[axis]
        self.flat = Flat(memory, 0, tuple(steps), shape)

    def scratch(self, size: int, dtype: Any) -> Any:
        """Flat memory that the same library lends: it knows when the stream is done with it."""
        return Result(self.kind, self.like, (max(size, 1),), dtype, dense=True).flat.memory

    def give(self, stream: Any) -> Any:
        """The array for the caller, with its axes in their own order."""
        inner, back = [self.shape[axis] for axis in self.order], np.argsort(self.order).tolist()
        if self.kind == "torch":
            return self.array.permute(*back)
        if self.kind == "cupy":
            return self.array.transpose(back)
        if self.kind is None:
            host = self.array.copy_to_host(stream=stream)[: prod(self.shape)]
            if stream:
                stream.synchronize()
            return host.reshape(inner).transpose(back)
        face, size = dict(self.array.__cuda_array_interface__), self.array.dtype.itemsize
        face |= {"shape": self.shape, "strides": tuple(size * step for step in self.flat.steps)}
        numbas = getattr(self.like, "__cuda_ndarray__", False)
        if not numbas:  # JAX asks no stream whether it is done
            cuda.default_stream().synchronize()
        return cuda.from_cuda_array_interface(face, owner=self.array, sync=False)


@contextmanager
def current(kind: str | None, like: Any) -> Iterator[Any]:
    """On the caller's device, its current stream there."""
    if kind not in ("torch", "cupy"):
        yield 0
        return
    if kind == "torch":
        device, torch = like.device.index, import_module("torch")
        pointer = torch.cuda.current_stream(device).cuda_stream
    else:
        device = like.device.id
        pointer = import_module("cupy").cuda.get_current_stream(device).ptr
    with cuda.gpus[device]:
        yield cuda.external_stream(pointer) if pointer else 0


def on_host(value: Any) -> Array:
    """The array in the host's memory."""
    kind = library(value)
    if kind == "torch":  # it waits for its own stream
        return np.asarray(value.detach().cpu().numpy())
    if kind == "cupy":
        return np.asarray(value.get())
    if kind is None:
        return np.asarray(value)
    face = _interface(value)
    _wait(value, face, 0)
    face = {**face, "stream": None}  # or the copy would not wait to be done
    return np.asarray(cuda.from_cuda_array_interface(face, owner=value).copy_to_host())


def like_caller(kind: str | None, array: Array, like: Any) -> Any:
    """A small array from the host, where the caller's arrays are."""
    if kind is None:
        return array
    if kind == "torch":
        return import_module("torch").as_tensor(array, device=like.device)
    array = np.ascontiguousarray(array)
    return import_module("cupy").asarray(array) if kind == "cupy" else settled(array)


def upload(array: Array) -> Any:
    """A flat array on the GPU; one element at least."""
    array = array.reshape(-1)
    return settled(array if array.size else np.zeros(1, array.dtype))


def settled(array: Array) -> Any:
    """A copy on the GPU, there before it is asked for: torch's streams do not wait for Numba's."""
    memory = cuda.to_device(array)
    if not SIMULATED:
        cuda.default_stream().synchronize()
    return memory


def empty(size: int, dtype: Any) -> Any:
    """Flat memory on the GPU, of at least one element."""
    return cuda.device_array(max(size, 1), dtype)


def cleared(memory: Any, stream: Any) -> Any:
    """The memory, filled with zeros when the stream comes to it."""
    if SIMULATED:
        memory[:] = 0
    else:
        cuda.cudadrv.driver.device_memset(memory, 0, memory.nbytes, stream=stream)
    return memory


def _wait(value: Any, face: dict[str, Any], stream: Any) -> None:
    """Until it is written, by JAX, which names no stream, or on a stream that is not ours."""
    if hasattr(value, "block_until_ready"):
        value.block_until_ready()
    theirs = face.get("stream")
    if theirs and theirs != (int(stream) or LEGACY):
        cuda.external_stream(theirs).synchronize()


def _detached(value: Any) -> Any:
    """The tensor without its history: torch gives no interface to one that wants gradients."""
    return value.detach() if hasattr(value, "detach") else value


def _interface(value: Any) -> dict[str, Any]:
    face: dict[str, Any] = _detached(value).__cuda_array_interface__
    return face


def _strides(array: Any) -> tuple[int, ...]:
    """In bytes; a stride of 0 is a broadcast axis."""
    if library(array) is None:
        return tuple(np.asarray(array).strides)
    face = _interface(array)
    shape = face["shape"]
    return tuple(face.get("strides") or [prod(shape[k + 1 :]) for k in range(len(shape))])
