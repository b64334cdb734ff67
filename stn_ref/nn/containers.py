"""Networks of layers, which are layers: one after another, and side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.records import typed
from stn_ref.nn.layer import Cache, Layer, Params, Shape, backward_to_params
from stn_ref.nn.trees import named


class Caches(NamedTuple):
    """What a network keeps for its backward pass: its layers' caches, and something of its own."""

    own: Any
    inner: tuple[Cache, ...]


def checked_layers(*layers: Layer) -> None:
    """A TypeError or ValueError, unless there are layers."""
    if not layers:
        raise ValueError("there are no layers; expected at least one")
    for layer in layers:
        methods = all(hasattr(layer, name) for name in ("initialise", "forward", "backward"))
        if not methods or isinstance(layer, type):
            raise TypeError(f"{layer!r} is no layer; expected one such as Dense(10)")


@dataclass(frozen=True, init=False)
class Network:
    """Layers in some order; its cache is a `Caches`."""

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        checked_layers(*layers)
        object.__setattr__(self, "layers", layers)

    def __repr__(self) -> str:
        return typed(partial(type(self), *self.layers))


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Network):
    """y = f_L(… f_2(f_1(x))); params and dparams are tuples, one entry a layer."""

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        params = []
        for layer in self.layers:
            first, input_shape = layer.initialise(rng, input_shape)
            params.append(first)
        return tuple(params), input_shape

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        caches = []
        for layer, weights in zip(self.layers, params, strict=True):
            x, cache = layer.forward(weights, x)
            caches.append(cache)
        return x, Caches(params, tuple(caches))

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        return self._down_to(0, dy, cache)

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        params, inner = cache
        learning = [k for k, weights in enumerate(params) if any(named(weights))]
        if not learning:
            return params
        k = learning[0]
        dy, dparams = self._down_to(k + 1, dy, cache)
        return (*params[:k], backward_to_params(self.layers[k], dy, inner[k]), *dparams)

    def _down_to(self, k: int, dy: Array, cache: Cache) -> tuple[Array, Params]:
        """The gradient at the input of layer k, and those of its params and of all after it."""
        dparams: Params = ()
        for layer, kept in zip(reversed(self.layers[k:]), reversed(cache.inner[k:]), strict=True):
            dy, dweights = layer.backward(dy, kept)
            dparams = (dweights, *dparams)
        return dy, dparams


@dataclass(frozen=True, init=False, repr=False)
class Parallel(Network):
    """All layers see the same x; their outputs are concatenated along the channels.

    y = [f_1(x), f_2(x), …],   ∂L/∂x = Σ_l ∂L/∂y_l ∂f_l/∂x

    Outputs agree in all but their last axis. Params and dparams are tuples, one entry a layer.
    """

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        made = [layer.initialise(rng, input_shape) for layer in self.layers]
        shapes = [shape for _, shape in made]
        if len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(f"outputs have shapes {shapes}; all but the channels must agree")
        channels = sum(shape[-1] for shape in shapes)
        return tuple(weights for weights, _ in made), (*shapes[0][:-1], channels)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        pairs = zip(self.layers, params, strict=True)
        ys, caches = zip(*(layer.forward(weights, x) for layer, weights in pairs), strict=True)
        ends = np.cumsum([y.shape[-1] for y in ys])
        return np.concatenate(ys, axis=-1), Caches(ends[:-1], caches)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        dxs, dparams = zip(
            *(layer.backward(d, kept) for layer, d, kept in self._parts(dy, cache)), strict=True
        )
        return sum(dxs[1:], start=dxs[0]), dparams

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        return tuple(backward_to_params(layer, d, k) for layer, d, k in self._parts(dy, cache))

    def _parts(self, dy: Array, cache: Cache) -> list[tuple[Layer, Array, Cache]]:
        return list(zip(self.layers, np.split(dy, cache.own, axis=-1), cache.inner, strict=True))
