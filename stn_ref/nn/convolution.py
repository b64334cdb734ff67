"""The convolution of CNNs, a correlation in fact, as one matrix product over patches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stn_ref.equations.arguments import Array, shaped
from stn_ref.nn.layer import Cache, Params, Shape, planes, uniform, whole


@dataclass(frozen=True)
class Conv2d:
    """Every output pixel is a weighted sum over a patch of the input, the same everywhere.

        y_ij^f = Σ_a Σ_e Σ_c x_{si+a, sj+e}^c W_ae^cf + b^f

    with s the stride, x with `padding` zeros around it, a and e from 0 to size − 1. Every patch is
    a row of a matrix (a copy of the input, size² times as large), so that a matrix product does
    the work, there and back:

        y = X W + b            ∂L/∂W = Xᵀ dy,   ∂L/∂b = Σ dy,   ∂L/∂X = dy Wᵀ

    and ∂L/∂x adds up, for each pixel, the rows of ∂L/∂X that it is part of.

    x (B, H, W, C), y (B, H', W', filters) with H' = ⌊(H + 2 padding − size) / stride⌋ + 1; params
    {"W": (size, size, C, filters), "b": (filters,)}, first between ±1/√(size² C).
    """

    filters: int
    size: int
    stride: int = field(default=1, kw_only=True)
    padding: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for name, least in (("filters", 1), ("size", 1), ("stride", 1), ("padding", 0)):
            whole(name, getattr(self, name), least=least)

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        *plane, C = planes(self, input_shape)
        out = [(s + 2 * self.padding - self.size) // self.stride + 1 for s in plane]
        if min(out) < 1:
            raise ValueError(f"{self} does not fit into an input of shape {input_shape}")
        shape = (self.size, self.size, C, self.filters)
        W, b = uniform(rng, self.size**2 * C, shape, (self.filters,))
        return {"W": W, "b": b}, (*out, self.filters)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        W, p = params["W"], self.padding
        x = shaped("x", x, ("B", "H", "W", W.shape[2]))
        x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0))) if p else x
        s, k = self.stride, self.size
        patches = sliding_window_view(x, (k, k), axis=(1, 2))[:, ::s, ::s]  # (B, H', W', C, k, k)
        X = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, k * k * x.shape[3])
        y = X @ W.reshape(len(W[0]) * k * W.shape[2], -1)
        y += params["b"]
        return y.reshape(*patches.shape[:3], self.filters), (W, X, x.shape)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        W, _, shape = cache
        B, h, w, F = dy.shape
        dx, s, k, p = np.zeros(shape, dy.dtype), self.stride, self.size, self.padding
        for a in range(k):
            dX = (dy.reshape(-1, F) @ W[a].reshape(-1, F).T).reshape(B, h, w, k, -1)
            for e in range(k):
                dx[:, a : a + s * h : s, e : e + s * w : s] += dX[:, :, :, e]
        dx = dx[:, p : shape[1] - p, p : shape[2] - p]
        return dx, self.backward_to_params(dy, cache)

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        W, X, _ = cache
        dy = dy.reshape(-1, self.filters)
        return {"W": (X.T @ dy).reshape(W.shape), "b": dy.sum(axis=0)}
