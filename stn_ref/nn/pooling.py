"""Pooling: one number for each square of pixels, channel by channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stn_ref.equations.arguments import Array, shaped
from stn_ref.nn.layer import Cache, Params, Shape, planes, whole


@dataclass(frozen=True)
class _Pool:
    """Squares of size × size pixels; rows and columns left over are dropped."""

    size: int

    def __post_init__(self) -> None:
        whole("size", self.size)

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        H, W, C = planes(self, input_shape)
        if min(H, W) < self.size:
            raise ValueError(f"{self} does not fit into an input of shape {input_shape}")
        return (), (H // self.size, W // self.size, C)


@dataclass(frozen=True)
class MaxPool2d(_Pool):
    """y_ij^c = max of x^c over the square that begins at (i·size, j·size).

    The gradient goes to the maximum, to the first of several. x (B, H, W, C); y is
    (B, ⌊H/size⌋, ⌊W/size⌋, C), rows and columns left over are dropped. No params.
    """

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = shaped("x", x, ("B", "H", "W", "C"))
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


@dataclass(frozen=True)
class AveragePool2d(_Pool):
    """y_ij^c = mean of x^c over the square that begins at (i·size, j·size).

    x (B, H, W, C); y is (B, ⌊H/size⌋, ⌊W/size⌋, C), rows and columns left over are dropped.
    No params.
    """

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = shaped("x", x, ("B", "H", "W", "C"))
        first, *others = (x[square] for square in _squares(x.shape, self.size))
        return sum(others, start=first) / self.size**2, x.shape

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        dx = np.zeros(cache, dy.dtype)
        B, H, W, C = cache
        dy = shaped("dy", dy, (B, H // self.size, W // self.size, C))
        for square in _squares(cache, self.size):
            dx[square] = dy / self.size**2
        return dx, ()


def _squares(shape: Shape, size: int) -> Iterator[tuple[slice, slice, slice]]:
    """For each place in a square, an index of all pixels in that place."""
    _, H, W, _ = shape
    h, w = H - H % size, W - W % size
    for a in range(size):
        for e in range(size):
            yield slice(None), slice(a, h, size), slice(e, w, size)
