"""Ready-made localisation networks, to the features that θ is read from."""

from __future__ import annotations

from stn_ref.nn.containers import Sequential
from stn_ref.nn.convolution import Conv2d
from stn_ref.nn.dense import Dense, Flatten, Relu
from stn_ref.nn.layer import Layer
from stn_ref.nn.pooling import MaxPool2d


def fully_connected(*units: int) -> Sequential:
    """Flatten, then Dense and Relu of so many units each; the paper's has (32, 32)."""
    hidden: list[Layer] = [layer for n in units for layer in (Dense(n), Relu())]
    return Sequential(Flatten(), *hidden)


def convolutional(*filters: int, size: int = 5, units: int = 20) -> Sequential:
    """Conv2d of so many filters each, pooling by 2 and Relu after it, then a Dense layer.

    The paper's has (20, 20), and pools between them.
    """
    layers: list[Layer] = []
    for n in filters:
        layers += [Conv2d(n, size), MaxPool2d(2), Relu()]
    return Sequential(*layers, Flatten(), Dense(units), Relu())
