"""Layers on vectors: a matrix and a bias, the rectifier, and the way from maps to vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from stn_ref.equations.arguments import Array, floating, shaped, whole
from stn_ref.equations.records import typed_fields
from stn_ref.nn.layer import Cache, Params, Shape, uniform


@dataclass(frozen=True)
class Dense:
    """Every output is a weighted sum of every input.

        y = x W + b            ∂L/∂W = xᵀ dy,   ∂L/∂b = Σ_B dy,   ∂L/∂x = dy Wᵀ

    x (B, F), y (B, units); params {"W": (F, units), "b": (units,)}, first between ±1/√F.
    """

    units: int

    __repr__ = typed_fields

    def __post_init__(self) -> None:
        whole("units", self.units)

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        if len(input_shape) != 1:
            raise ValueError(f"{self} takes (F,), after Flatten(); its input has {input_shape}")
        (inputs,) = input_shape
        W, b = uniform(rng, inputs, (inputs, self.units), (self.units,))
        return {"W": W, "b": b}, (self.units,)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        W = params["W"]
        x = shaped("x", x, ("B", len(W)))
        y = x @ W
        y += params["b"]
        return y, (W, x)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        W, _ = cache
        return dy @ W.T, self.backward_to_params(dy, cache)

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        _, x = cache
        return {"W": x.T @ dy, "b": dy.sum(axis=0)}


@dataclass(frozen=True)
class Relu:
    """y = max(0, x); at 0 it counts as off. Any shape, no params."""

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        return (), input_shape

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        y = np.maximum(floating("x", x), 0)
        return y, y

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        return dy * (cache > 0), ()


@dataclass(frozen=True)
class Flatten:
    """(B, H, W, C) becomes (B, H·W·C). No params."""

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        return (), (prod(input_shape),)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        x = floating("x", x)
        return x.reshape(len(x), prod(x.shape[1:])), x.shape

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        return dy.reshape(cache), ()
