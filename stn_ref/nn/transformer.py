"""§3.4: the spatial transformer as a layer, to drop in anywhere and any number of times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from stn_ref.api import transform, transform_backward
from stn_ref.backends import BACKENDS
from stn_ref.equations import AFFINE, BILINEAR, Transformation, target_grid
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_transformation,
    choice,
    feature_map,
    flag,
    per_axis,
    shaped,
    whole_size,
)
from stn_ref.equations.padding import PADDINGS
from stn_ref.equations.records import typed_fields
from stn_ref.equations.sampler import Kernels
from stn_ref.equations.transformation import axes_of
from stn_ref.nn.containers import Network, Sequential, checked_layers
from stn_ref.nn.dense import Dense, Flatten
from stn_ref.nn.layer import Cache, Layer, Params, Shape, backward_to_params, sides_and_channels


class Warp(NamedTuple):
    """What a transformer did with a batch, and its cache."""

    U: Array
    theta: Array
    V: Array
    f_loc: Cache


@dataclass(frozen=True)
class SpatialTransformer:
    """Look at a feature map, decide how to warp it, warp it.

        θ = f_loc(U),   V = sample(U, T_θ(G))        ∂L/∂U = (Eq. 6) + ∂L/∂θ ∂f_loc/∂U      §3.4

    localisation  a layer that ends in features; after it come Flatten and Dense, the regression
                  layer, whose weights begin as 0 and whose bias as the identity: V is U at first
    size          (H', W') of the output, the input's if None
    The rest is as in `stn_ref.transform`. Signals (B, W, C) and volumes (B, D, H, W, C) are warped
    by `affine(1)`, `affine(3)` or another transformation of their axes.

    U (B, H, W, C), V (B, H', W', C); params {"f_loc": those of localisation, Flatten and Dense}.
    """

    localisation: Layer
    transformation: Transformation = field(default=AFFINE, kw_only=True)
    size: Size | None = field(default=None, kw_only=True)
    kernel: Kernels = field(default=BILINEAR, kw_only=True)
    padding: str = field(default="zeros", kw_only=True)
    align_corners: bool = field(default=True, kw_only=True)
    backend: str = field(default="auto", kw_only=True)

    __repr__ = typed_fields

    def __post_init__(self) -> None:
        checked_layers(self.localisation)
        checked_transformation(self.transformation)
        if self.size is not None:
            object.__setattr__(self, "size", whole_size(self.size, None, least=1))
        kernels = len(self.kernel) if isinstance(self.kernel, tuple | list) else 2
        per_axis(self.kernel, min(max(kernels, 1), 3))
        choice("padding", self.padding, tuple(PADDINGS))
        flag("align_corners", self.align_corners)
        choice("backend", self.backend, ("auto", *BACKENDS))

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """How many axes the transformation warps; one of a user's may take several numbers."""
        return axes_of(self.transformation)

    @property
    def f_loc(self) -> Sequential:
        """The whole localisation network, to a flat θ."""
        return Sequential(self.localisation, Flatten(), Dense(self.transformation.identity().size))

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        why = f", and its transformation is {self.transformation.name}"
        size, C = sides_and_channels(self, input_shape, self.axes, why)
        per_axis(self.kernel, len(size))
        if self.size is not None:
            whole_size(self.size, len(size))
        params, _ = self.f_loc.initialise(rng, input_shape)
        regression = {
            "W": np.zeros_like(params[-1]["W"]),
            "b": self.transformation.identity().ravel().astype(np.float64),
        }
        return {"f_loc": (*params[:-1], regression)}, (*(self.size or size), C)

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        U = feature_map(x, self.axes[0] if len(self.axes) == 1 else None)
        theta, kept = self.f_loc.forward(params["f_loc"], U)
        theta = theta.reshape(-1, *self.transformation.identity().shape)
        V = transform(U, theta, size=self.size, **self._options)
        return V, Warp(U, theta, V, kept)

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        dU, dtheta = self._sampled(dy, cache)
        dU_seen, dparams = self.f_loc.backward(dtheta, cache.f_loc)
        return dU + dU_seen, {"f_loc": dparams}

    def backward_to_params(self, dy: Array, cache: Cache) -> Params:
        _, dtheta = self._sampled(dy, cache)
        return {"f_loc": backward_to_params(self.f_loc, dtheta, cache.f_loc)}

    def _sampled(self, dV: Array, cache: Warp) -> tuple[Array, Array]:
        """dU of the sampler, and a flat dθ."""
        # V has U's precision; layers after it, with weights in double, may have sent back more
        dV = shaped("dy", dV, cache.V.shape).astype(cache.V.dtype, copy=False)
        dU, dtheta = transform_backward(dV, cache.U, cache.theta, **self._options)
        return dU, dtheta.reshape(-1, self.transformation.identity().size)

    @property
    def _options(self) -> dict[str, Any]:
        names = ("transformation", "kernel", "padding", "align_corners", "backend")
        return {name: getattr(self, name) for name in names}

    def grid(self, warp: Warp) -> Array:
        """T_θ(G) (B, H', W', 2), normalised, (x, y), to look at."""
        size = self.size or warp.U.shape[1:-1]
        G = target_grid(size, align_corners=self.align_corners)
        return self.transformation.grid(warp.theta, G)


def warps(layer: Layer, cache: Cache) -> Iterator[tuple[SpatialTransformer, Warp]]:
    """Every transformer of a network, in order, with its U and its θ.

    cache  of the network's `forward`
    """
    if isinstance(layer, SpatialTransformer):
        yield layer, cache
    if isinstance(layer, Network):
        for inner, kept in zip(layer.layers, cache.inner, strict=True):
            yield from warps(inner, kept)
