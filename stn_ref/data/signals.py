"""Signals played at an uneven pace: time goes through a piecewise linear map of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.api import transform
from stn_ref.equations import Linear, linear
from stn_ref.equations.arguments import Array, feature_map, generator, number, whole


class Paced(NamedTuple):
    """Signals played unevenly, and the truth about each.

    signals  (B, W, C)  in the dtype of what was played
    theta    (B, K, 1)  of `pace(K)`: to undo it, a network has to find the inverse
    """

    signals: Array
    theta: Array


def pace(nodes: int) -> Linear:
    """Time, piecewise linear between so many even nodes x_k on [−1, 1], h apart.

        T_θ(x) = Σ_k θ_k max(0, 1 − |x − x_k|/h)                              §3.2

    θ is (B, K, 1), where each node is sent. Before the first and after the last, time stands still.
    Raises TypeError or ValueError if nodes is not an integer of at least 2.
    """
    at, h = np.linspace(-1, 1, whole("nodes", nodes, least=2), retstep=True)

    def basis(G: Array) -> Array:
        return np.maximum(0, 1 - abs(np.clip(G, -1, 1) - at) / h)

    def slopes(G: Array) -> Array:
        t = (G - at) / h  # as everywhere, the derivative to the right
        hat = ((t >= -1) & (t < 0)) * 1.0 - ((t >= 0) & (t < 1))
        moves = (G >= -1) & (G < 1)
        return np.asarray(moves * hat / h)

    def basis_backward(dB: Array, G: Array) -> Array:
        return np.asarray(np.sum(dB * slopes(G), axis=-1, keepdims=True))

    def basis_jvp(G_dot: Array, G: Array) -> Array:
        return G_dot * slopes(G)

    return linear(basis, basis_backward, at[:, None], name="pace", basis_jvp=basis_jvp)


def played(
    signals: ArrayLike, rng: np.random.Generator, *, nodes: int = 6, strength: float = 0.6
) -> Paced:
    """Each signal once, now faster and now slower; the same generator gives the same bits.

    signals   (B, W, C)
    nodes     of its pace, first and last included: these stay where they are
    strength  standard deviation of the logarithm of the pace between two nodes
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    signals = feature_map(signals, 1)
    generator(rng)
    T = pace(nodes)
    if number("strength", strength) < 0:
        raise ValueError(f"strength is {strength}; expected 0 or more")
    steps = np.exp(rng.normal(0, strength, (len(signals), nodes - 1, 1)))
    until = np.cumsum(steps, axis=1)
    theta = np.concatenate([-np.ones_like(until[:, :1]), 2 * until / until[:, -1:] - 1], axis=1)
    return Paced(transform(signals, theta, transformation=T), theta)
