"""Pooling: one number for each square of pixels, or for many in a row, channel by channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import SIDES, Array, floating, shaped, whole
from stn_ref.equations.records import typed_fields
from stn_ref.nn.layer import Cache, Params, Shape, sides_and_channels


@dataclass(frozen=True)
class _Pool:
    """Squares of size × size pixels; rows and columns left over are dropped."""

    size: int
    axes: ClassVar[tuple[int, ...]] = (2,)

    __repr__ = typed_fields

    def __post_init__(self) -> None:
        whole("size", self.size)

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        sides, C = sides_and_channels(self, input_shape, self.axes)
        if min(sides) < self.size:
            raise ValueError(f"{self} does not fit into an input of shape {input_shape}")
        return (), (*(S // self.size for S in sides), C)

    def _checked(self, x: ArrayLike) -> Array:
        axes = np.ndim(x) - 2
        sides = SIDES[-axes:] if axes in self.axes else SIDES[-2:]
        return shaped("x", x, ("B", *sides, "C"))


@dataclass(frozen=True, repr=False)
class MaxPool2d(_Pool):
    """y_ij^c = max of x^c over the square that begins at (i·size, j·size).

    The gradient goes to the maximum, to the first of several. x (B, H, W, C); y is
    (B, ⌊H/size⌋, ⌊W/size⌋, C), rows and columns left over are dropped. No params.
    """

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = self._checked(x)
        first, *others = (x[square] for square in _squares(x.shape, self.size))
        y, which = first.copy(), np.zeros(first.shape, np.min_scalar_type(self.size**2))
        for k, other in enumerate(others, start=1):
            np.maximum(which, (other > y) * which.dtype.type(k), out=which)  # the last to do better
            np.maximum(y, other, out=y)
        return y, (which, x.shape)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        which, shape = cache
        dx, dy = np.zeros(shape, dy.dtype), shaped("dy", dy, which.shape)
        for k, square in enumerate(_squares(shape, self.size)):
            np.multiply(dy, which == k, out=dx[square])
        return dx, ()


@dataclass(frozen=True, repr=False)
class AveragePool(_Pool):
    """y_ij^c = mean of x^c over the square that begins at (i·size, j·size).

    x (B, H, W, C); y is (B, ⌊H/size⌋, ⌊W/size⌋, C), rows and columns left over are dropped.
    Of signals it takes so many in a row, of volumes cubes. No params.
    """

    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = self._checked(x)
        first, *others = (x[square] for square in _squares(x.shape, self.size))
        return sum(others, start=first) / (1 + len(others)), x.shape

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        dx = np.zeros(cache, dy.dtype)
        B, *sides, C = cache
        dy = shaped("dy", dy, (B, *(S // self.size for S in sides), C))
        for square in _squares(cache, self.size):
            dx[square] = dy / self.size ** len(sides)
        return dx, ()


@dataclass(frozen=True, repr=False)
class AveragePool2d(AveragePool):
    """`AveragePool` of maps alone."""

    axes: ClassVar[tuple[int, ...]] = (2,)


@dataclass(frozen=True)
class Project:
    """y_ij^c = 1/D Σ_k x_kij^c: the mean along the depth, what is seen of a volume from in front.

    x (B, D, H, W, C), y (B, H, W, C); of a map (B, H, W, C) it is the mean of its rows, a signal.
    No params.
    """

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        (_, *sides), C = sides_and_channels(self, input_shape, (2, 3))
        return (), (*sides, C)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = floating("x", x)
        if x.ndim not in (4, 5) or x.shape[1] == 0:
            given = f"x has shape {x.shape}; expected (B, D, H, W, C) or (B, H, W, C)"
            raise ValueError(f"{given}, with something along the first axis after B")
        return x.mean(axis=1), x.shape

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        B, D, *rest = cache
        dy = shaped("dy", dy, (B, *rest))
        return np.repeat(dy[:, None] / D, D, axis=1), ()


def _squares(shape: Shape, size: int) -> Iterator[tuple[slice, ...]]:
    """For each place in a square, an index of all pixels in that place."""
    _, *sides, _ = shape
    for place in product(range(size), repeat=len(sides)):
        pixels = (slice(a, S - S % size, size) for a, S in zip(place, sides, strict=True))
        yield slice(None), *pixels
