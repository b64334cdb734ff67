"""Kernels made when they are first asked for, and started with the right number of threads."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda, types
from numba.core.errors import NumbaError

from stn_ref.backends.cuda import forward, pulls, scatter, sums
from stn_ref.backends.cuda.arrays import Flat, upload
from stn_ref.backends.cuda.device import ALONE, BLOCKS, SIMULATED, THREADS
from stn_ref.backends.cuda.points import formula, given
from stn_ref.backends.cuda.rows import Axis
from stn_ref.backends.cuda.sizes import LANES, LENGTH
from stn_ref.backends.cuda.taps import loop

GRID, MATRIX = "grid", "matrix"
NARROW = (1 << 31) - LANES  # a thread looks LANES − 1 channels too far, if its group is the last


class Numbers:
    """What decides how a kernel is compiled, apart from the rows.

    number      U's precision, in which weights and sums are computed
    coordinate  that of source points: double from a matrix
    index       the unsigned type of an index, 64 bits only where an array is that large
    axes        1, 2 or 3
    """

    def __init__(self, number: Any, coordinate: Any, where: str, wide: bool, axes: int = 2) -> None:
        self.number, self.where = np.dtype(number).type, where
        self.wide, self.axes = wide, axes
        double = np.float64 in (self.number, np.dtype(coordinate).type)
        self.coordinate = np.float64 if double else np.float32
        self.index = np.uint64 if wide else np.uint32
        self.key = (self.number, self.coordinate, where, wide, axes)


_kernels: dict[Any, Any] = {}


def kernel(name: str, numbers: Numbers, axes: tuple[Axis, ...] = (), way: str = "") -> Any:
    """The kernel of this name, compiled when first started."""
    key = name, numbers.key, tuple(map(id, axes)), way
    if key not in _kernels:
        _kernels[key] = cuda.jit(made(name, numbers, axes, way))
    return _kernels[key]


def made(name: str, numbers: Numbers, axes: tuple[Axis, ...], way: str) -> Any:
    """The kernel as a Python function."""
    number, index, n = numbers.number, numbers.index, numbers.axes
    if name == "finish":
        return scatter.finish(number, index)
    shared = types.float32 if number is np.float32 else types.float64
    if name == "total":
        return sums.total(number, shared)
    if name == "moments":
        return sums.moments(n, number, shared, index)
    points = formula(n).points if numbers.where == MATRIX else given(index, numbers.coordinate, n)
    of = loop(axes, points, numbers.coordinate, number, index)
    if name == "forward":
        return forward.forward(of)
    if name == "pulls":
        return pulls.pulls(of)
    return scatter.scatter(way, of)


def start(kernel: Any, work: int, stream: Any, *arguments: Any) -> None:
    """One thread for each piece of work, within reason: a thread goes on to another."""
    _run(kernel, (min(-(-work // ALONE), BLOCKS), 1), ALONE, stream, arguments)


def blocks(kernel: Any, pieces: int, rows: int, stream: Any, *arguments: Any) -> None:
    """Blocks that sum, in a few rows: CUDA has 65,535 of these at most, but 2³¹ − 1 pieces."""
    _run(kernel, (pieces, rows), THREADS, stream, arguments)


def _run(kernel: Any, grid: tuple[int, int], threads: int, stream: Any, arguments: Any) -> None:
    if not prod(grid):
        return
    with warnings.catch_warnings():
        if SIMULATED:  # NumPy's scalars warn where a GPU's registers do not
            warnings.simplefilter("ignore", RuntimeWarning)
            kernel[grid, threads](*arguments)
            return
        warnings.filterwarnings("ignore", message="Grid size")  # NumbaPerformanceWarning
        configured = kernel[grid, threads, stream]
    try:
        configured(*arguments)
    except (NumbaError, KeyError) as error:  # the latter for a function that CUDA's Numba lacks
        raise TypeError(
            "a sampling kernel does not compile on CUDA: its functions take one number t and Φ, a "
            f"tuple, and may use arithmetic, comparisons and NumPy's scalar functions\n{error}"
        ) from error


def is_wide(*arrays: Flat) -> bool:
    """Whether an index needs more than 32 bits."""
    return any(
        prod(a.shape) >= NARROW
        or sum(abs(step) * (n - 1) for step, n in zip(a.steps, a.shape, strict=True)) >= NARROW
        for a in arrays
    )


def packed(entries: dict[int, Any], wide: bool) -> Any:
    """The array of whole numbers, on the GPU; kept, for the next call has the same shapes."""
    values = [0] * LENGTH
    for at, entry in entries.items():
        found = entry if isinstance(entry, tuple) else (entry,)
        values[at : at + len(found)] = [int(v) for v in found]
    return _kept(tuple(values), "int64" if wide else "int32", _device())


@lru_cache(maxsize=512)
def _kept(values: tuple[Any, ...], dtype: str, device: int) -> Any:
    array = np.array(values, dtype)
    if SIMULATED:  # a tuple is read ten times faster there
        return tuple(array.tolist() if "int" in dtype else array)
    return upload(array)


def reals(values: list[float], number: Any) -> Any:
    """The array of real numbers, on the GPU."""
    return _kept(tuple(map(float, values)), np.dtype(number).name, _device())


def _device() -> int:
    return 0 if SIMULATED else int(cuda.get_current_device().id)


@cache
def dummy(dtype: str) -> Any:
    """One element, for an argument that is not used."""
    return upload(np.zeros(1, dtype))
