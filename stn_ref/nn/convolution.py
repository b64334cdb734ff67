"""The convolution of CNNs, a correlation in fact, as one matrix product over patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array, shaped, whole
from stn_ref.equations.records import typed_fields
from stn_ref.nn.layer import Cache, Params, Shape, sides_and_channels, uniform
from stn_ref.nn.patches import add_product


@dataclass(frozen=True)
class Conv2d:
    """Every output pixel is a weighted sum over a patch of the input, the same everywhere.

        y_ij^f = Σ_a Σ_e Σ_c x_{si+a, sj+e}^c W_ae^cf + b^f

    with s the stride, x with `padding` zeros around it, a and e from 0 to size − 1. With every
    patch a row of a matrix X, that is a product, there and back:

        y = X W + b            ∂L/∂W = Xᵀ dy,   ∂L/∂b = Σ dy,   ∂L/∂X = dy Wᵀ

    and ∂L/∂x adds up, for each pixel, the entries of ∂L/∂X that it is part of. X is never made:
    its entry for pixel ij and tap aec is the number of x that lies `pixels`_ij + `taps`_aec after
    the first.

    x (B, H, W, C), y (B, H', W', filters) with H' = ⌊(H + 2 padding − size) / stride⌋ + 1; params
    {"W": (size, size, C, filters), "b": (filters,)}, first between ±1/√(size² C).
    Float32 or float64.
    """

    filters: int
    size: int
    stride: int = field(default=1, kw_only=True)
    padding: int = field(default=0, kw_only=True)

    __repr__ = typed_fields

    def __post_init__(self) -> None:
        for name, least in (("filters", 1), ("size", 1), ("stride", 1), ("padding", 0)):
            whole(name, getattr(self, name), least=least)

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        (H, W), C = sides_and_channels(self, input_shape)
        shape = (self.size, self.size, C, self.filters)
        weights, b = uniform(rng, self.size**2 * C, shape, (self.filters,))
        return {"W": weights, "b": b}, (*self._out(H, W), self.filters)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        k, p = self.size, self.padding
        W = shaped("W", params["W"], (k, k, "C", self.filters))
        b = shaped("b", params["b"], (self.filters,))
        x = shaped("x", x, ("B", "H", "W", W.shape[2]))
        x = _plain(np.pad(x, ((0, 0), (p, p), (p, p), (0, 0))) if p else x, np.result_type(W, x, b))
        pixels, taps = self._places(x)
        y = np.empty((*pixels.shape, self.filters), x.dtype)
        y[:] = b
        rows = pixels.reshape(-1, 1)
        add_product(y, _starts(y), x, rows, taps, _plain(W, x.dtype).reshape(taps.size, -1))
        return y, (W, x, pixels, taps)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        W, x, pixels, taps = cache
        dy, dx = self._checked(dy, cache), np.zeros_like(x)
        k, p, (B, h, w) = self.size, self.padding, pixels.shape
        # Down the columns: neighbours in a row share pixels, and to add to what has only just been
        # written takes long. W_a reaches a run of one row of x, size · C numbers.
        places, rows = (
            a.reshape(B, h, w).swapaxes(1, 2).reshape(B, w * h) for a in (pixels, _starts(dy))
        )
        runs = _plain(W, x.dtype).reshape(k, len(taps[0]), self.filters).swapaxes(1, 2)
        add_product(dx, places, dy, rows, np.arange(self.filters), runs, shifts=taps[:, 0])
        dx = dx[:, p : x.shape[1] - p, p : x.shape[2] - p]
        return dx, self.backward_to_params(dy, cache)

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        W, x, pixels, taps = cache
        dy = self._checked(dy, cache).reshape(-1, self.filters)
        dW = np.zeros(W.shape, x.dtype)
        add_product(dW, _starts(dW), x, taps.reshape(-1, 1), pixels, dy)
        return {"W": dW, "b": np.ones(len(dy), dy.dtype) @ dy}

    def _out(self, H: int, W: int) -> tuple[int, int]:
        """(H', W')."""
        h, w = ((s + 2 * self.padding - self.size) // self.stride + 1 for s in (H, W))
        if min(h, w) < 1:
            raise ValueError(f"{self} does not fit into an input of {H} by {W} pixels")
        return h, w

    def _places(self, x: Array) -> tuple[Array, Array]:
        """Where patches begin in a padded x, (B, H', W'), and their taps, (size, size · C)."""
        B, H, W, C = x.shape
        k, s, p = self.size, self.stride, self.padding
        h, w = self._out(H - 2 * p, W - 2 * p)
        first, across, down = (np.arange(n) for n in (B, w, h))
        pixels = (first[:, None, None] * H + s * down[:, None]) * (W * C) + s * across * C
        return pixels, np.arange(k)[:, None] * (W * C) + np.arange(k * C)

    def _checked(self, dy: Array, cache: Cache) -> Array:
        _, x, pixels, _ = cache
        return _plain(shaped("dy", dy, (*pixels.shape, self.filters)), x.dtype)


def _plain(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array as compiled loops take it: of this dtype, one number after another."""
    if dtype.itemsize > 8:
        raise TypeError(f"x and W have dtypes of {dtype}; expected float32 or float64")
    return np.require(array, dtype, ["C", "A"])


def _starts(array: Array) -> Array:
    """Where each row of a flat array begins, the last axis; a column."""
    F = array.shape[-1]
    return np.arange(0, array.size, F)[:, np.newaxis]
