"""From checked arrays to kernels, and back: the order in which things are done on the GPU."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from stn_ref.backends.cuda import launch, scatter
from stn_ref.backends.cuda.arrays import Flat, Result, cleared, flat, upload
from stn_ref.backends.cuda.device import POINTS_PER_BLOCK
from stn_ref.backends.cuda.launch import GRID, MATRIX, Numbers, is_wide, kernel, packed, start
from stn_ref.backends.cuda.rows import Axis, axis
from stn_ref.backends.cuda.rows import reals as numbers_of
from stn_ref.backends.cuda.sizes import (
    BITS,
    CHANNELS,
    GRADIENT,
    GROUPS,
    IN,
    LANES,
    OUT,
    PLANAR,
    POINTS,
    RULE,
    TIE,
    XY,
)
from stn_ref.backends.scalars import RULES, TIES
from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array


class Sampling(NamedTuple):
    """The checked options of Eq. 3."""

    kernels: tuple[Kernel, ...]
    padding: str
    fill: float
    tie: str = "right"


class Source(NamedTuple):
    """Source points: the caller's xy, flat, or a matrix's coefficients, as of `points.Formula`."""

    where: str
    memory: Any
    xy: Flat | None
    dtype: Any


def from_grid(xy: Any, dtype: Any, stream: Any) -> Source:
    """Points from the caller's array."""
    given = flat("xy", xy, stream)
    return Source(GRID, given.memory, given, dtype)


def from_matrix(coefficients: Array) -> Source:
    """Points by the centred formula."""
    return Source(MATRIX, upload(coefficients), None, np.float64)


class Job(NamedTuple):
    """All that the kernels of one call share."""

    numbers: Numbers
    axes: tuple[Axis, ...]
    sizes: Any
    reals: Any
    points: int
    groups: int


def job(
    U: Flat, V: Flat, source: Source, options: Sampling, dtype: Any, dU: Flat | None = None
) -> Job:
    """Pack the numbers; V is V or dV."""
    wide = is_wide(*(array for array in (U, V, source.xy, dU) if array))
    numbers = Numbers(dtype, source.dtype, source.where, wide, len(options.kernels))
    left = options.tie in ("left", "central")
    axes = tuple(axis(k, numbers.number, left=left) for k in options.kernels)
    B, *sides, C = V.shape
    points, groups = B * prod(sides), -(-C // LANES)
    planar = C == 1 or V.steps[-2] < V.steps[-1]
    most = max(prod(sides) * prod(a.taps for a in axes), 1)  # contributions to one pixel
    entries: dict[int, Any] = {POINTS: points, GROUPS: groups, CHANNELS: C, PLANAR: planar}
    entries |= {RULE: RULES[options.padding], TIE: TIES[options.tie]}
    entries |= {BITS: 62 - (most - 1).bit_length(), IN: _sizes(U), OUT: _sizes(V)}
    if source.xy:
        entries[XY] = _sizes(source.xy)
    if dU:
        entries[GRADIENT] = _sizes(dU)
    reals = [options.fill, *(r for k in options.kernels for r in numbers_of(k, numbers.number))]
    whole = packed(entries, wide)
    return Job(numbers, axes, whole, launch.reals(reals, numbers.number), points, groups)


def _sizes(array: Flat) -> tuple[int, ...]:
    """The array as that of a volume: axes that it lacks have the step 0 and the side 1."""
    lacks, (b, *steps) = 5 - len(array.shape), array.steps
    return array.start, b, *[0] * lacks, *steps, *[1] * lacks, *array.shape[1:-1]


def run_forward(
    U: Flat, V: Result, source: Source, options: Sampling, dtype: Any, stream: Any
) -> None:
    """Fill V."""
    if not prod(V.shape):
        return
    j = job(U, V.flat, source, options, dtype)
    run = kernel("forward", j.numbers, j.axes)
    work = j.points * j.groups
    start(run, work, stream, U.memory, V.flat.memory, source.memory, j.reals, j.sizes)


def run_backward(
    dV: Flat, U: Flat, dU: Result, source: Source, options: Sampling, dtype: Any, stream: Any,
    dxy: Any, deterministic: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """Fill dU and dxy, flat; ∂L/∂ the formula's rows of each image, and dΦ, both on the host."""
    parameters = sum(len(k.Phi) for k in options.kernels)
    images, rows = dV.shape[0], len(options.kernels) + 1
    if not prod(dV.shape):
        if dxy is not None:  # there may be points, if no channels
            cleared(dxy, stream)
        return np.zeros((images, rows, rows)), np.zeros(parameters)
    j = job(U, dV, source, options, dtype, dU.flat)
    dphi = dU.scratch(parameters * j.points, dtype)
    run = kernel("pulls", j.numbers, j.axes)
    start(run, j.points, stream, dV.memory, U.memory, source.memory, j.reals, j.sizes, dxy, dphi)
    give(dV, dU, source, j, stream, deterministic)
    dA, dPhi = np.zeros((images, rows, rows)), np.zeros(parameters)
    if source.where == MATRIX:
        pieces = -(-(j.points // images) // POINTS_PER_BLOCK)
        partial = dU.scratch(images * pieces * rows * rows, dtype)
        run = kernel("moments", j.numbers)
        launch.blocks(run, images * pieces, 1, stream, dxy, source.memory, j.sizes, partial)
        dA = fetched(partial, stream).reshape(images, pieces, rows, rows).sum(axis=1)
        dA = np.roll(dA, -1, axis=-1)  # the constant's come first there
    if parameters:
        pieces = -(-j.points // POINTS_PER_BLOCK)
        partial = dU.scratch(parameters * pieces, dtype)
        run = kernel("total", j.numbers)
        launch.blocks(run, pieces, parameters, stream, dphi, j.points, partial)
        dPhi = fetched(partial, stream).reshape(parameters, pieces).sum(axis=1)
    return dA, dPhi


def give(dV: Flat, dU: Result, source: Source, j: Job, stream: Any, deterministic: bool) -> None:
    """Eq. 6 into dU, which holds zeros."""
    number, size, work = j.numbers.number, prod(dU.shape), j.points * j.groups
    dense = dU.flat.memory

    def run(way: str, peaks: Any, sums: Any) -> None:
        found = kernel("scatter", j.numbers, j.axes, way)
        start(found, work, stream, dV.memory, source.memory, j.reals, j.sizes, dense, peaks, sums)

    whole = np.dtype(scatter.layout_of(number)[0])
    if not deterministic:
        run(scatter.FLOAT, launch.dummy(whole.name), launch.dummy("int64"))
        return
    words = 1 if number is np.float32 else 2  # of a sum
    peaks = cleared(dU.scratch(size, whole), stream)
    sums = cleared(dU.scratch(words * size, np.int64), stream)
    run(scatter.PEAK, peaks, sums)
    run(scatter.FIXED, peaks, sums)
    start(kernel("finish", j.numbers), size, stream, peaks, sums, j.sizes, dense)


def fetched(memory: Any, stream: Any) -> Array:
    """On the host, in double precision."""
    host = memory.copy_to_host(stream=stream)
    if stream:
        stream.synchronize()
    return np.asarray(host, np.float64)
