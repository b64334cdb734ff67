"""What a layer is: three functions and no state. Weights go in and come out as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from stn_ref.equations.arguments import SIDES, Array

Shape: TypeAlias = tuple[int, ...]
Params: TypeAlias = Any  # nested tuples and dicts of arrays
Cache: TypeAlias = Any  # what forward keeps for backward


class Layer(Protocol):
    """A function of weights and a batch, and its gradients.

    Shapes are without the batch axis; x is (B, H, W, C), of signals (B, W, C), of volumes
    (B, D, H, W, C), or (B, F). Weights are made in double precision (`trees.cast` makes them
    single); y has the wider dtype of weights and x, but a transformer's has x's.
    """

    def initialise(self, rng: np.random.Generator, input_shape: Shape) -> tuple[Params, Shape]:
        """First weights, and the shape of the output.

        Raises ValueError if the layer cannot take an input of this shape.
        """

    def forward(self, params: Params, x: Array) -> tuple[Array, Cache]:
        """y, and what `backward` needs."""

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Params]:
        """dx, and dparams, alike in structure to params."""


def backward_to_params(layer: Layer, dy: Array, cache: Cache) -> Params:
    """dparams alone: nobody asks for the gradient at the images, and it can cost as much again.

    A layer that can do without dx has a method of this name.
    """
    shortcut = getattr(layer, "backward_to_params", None)
    return layer.backward(dy, cache)[1] if shortcut is None else shortcut(dy, cache)


def sides_and_channels(
    layer: object, input_shape: Sequence[int], axes: Sequence[int] = (2,), why: str = ""
) -> tuple[Shape, int]:
    """(H, W) and C, of signals (W,), of volumes (D, H, W); a ValueError that names the layer.

    axes  how many sides there may be, and why, for the message
    """
    if len(input_shape) - 1 not in axes:
        name, shape = type(layer).__name__, tuple(input_shape)
        wanted = " or ".join(f"({', '.join((*SIDES[-n:], 'C'))})" for n in axes)
        raise ValueError(f"{name} takes {wanted}; its input has shape {shape}{why}")
    *sides, C = input_shape
    return tuple(sides), C


def uniform(rng: np.random.Generator, fan_in: int, *shapes: Shape) -> list[Array]:
    """Weights between ±1/√fan_in."""
    limit = 1 / np.sqrt(max(fan_in, 1))
    return [rng.uniform(-limit, limit, shape) for shape in shapes]
