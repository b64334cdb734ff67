"""§3.1, the localisation network θ = f_loc(U), here as a multilayer perceptron.

In this file W is a layer's weights, except in the shape (B, H, W, C), where it is the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, a_pair, feature_map, floating, shaped, tangent, whole
from stn_ref.equations.quiet import quiet

Layer: TypeAlias = tuple[Array, Array]  # W (F, units), b (units,); the last to θ's shape


def initial_layers(
    rng: np.random.Generator,
    inputs: int,
    hidden: Sequence[int],
    identity: ArrayLike,
) -> list[Layer]:
    """Weights of f_loc, so that it starts at the identity transformation.        §3.1

    rng       where the hidden weights come from, uniform in ±1/√fan_in
    inputs    H·W·C
    hidden    units of each hidden layer
    identity  θ of the identity: the regression layer's bias; its weights are 0
    Returns [(W, b), …]: W (inputs, units) and b (units,) of each hidden layer, then those of the
    regression layer, (units, *θ) and (*θ).
    Raises TypeError or ValueError for a size or identity of a wrong shape, dtype or value.
    """
    identity = floating("identity", identity)
    whole("inputs", inputs, least=0)
    layers = []
    for units in hidden:
        whole("units", units, least=0)
        limit = 1 / np.sqrt(max(inputs, 1))
        W, b = rng.uniform(-limit, limit, (inputs, units)), rng.uniform(-limit, limit, units)
        layers.append((W, b))
        inputs = units
    return [*layers, (np.zeros((inputs, *identity.shape)), identity.copy())]


@quiet
def f_loc(U: ArrayLike, layers: Sequence[Layer]) -> Array:
    """Predict the transformation's parameters from the feature map.

        θ = f_loc(U):   h_0 = U,   h_l = max(0, h_{l−1} W_l + b_l),   θ = h W_θ + b_θ     §3.1

    U       (B, H, W, C)  input feature map, flattened to h_0
    layers  [(W, b), …]   the last, the regression layer, ends in θ's shape
    Returns theta (B, *b_θ.shape).
    Raises TypeError or ValueError for a U or layer of a wrong shape or dtype.
    """
    theta, _, _ = _forward(U, layers)
    return theta


@quiet
def f_loc_backward(
    dtheta: ArrayLike, U: ArrayLike, layers: Sequence[Layer]
) -> tuple[Array, list[Layer]]:
    """Carry the gradient of θ to the feature map and to every weight.            §3.1

        ∂L/∂W_l = h_{l−1}^T δ_l,   ∂L/∂b_l = Σ_B δ_l,   δ_{l−1} = [h_{l−1} > 0] δ_l W_l^T

    dtheta  (B, *b_θ.shape)  loss gradient at θ
    Returns dU (B, H, W, C) in U's dtype and dlayers, alike in structure to layers.
    A unit that is exactly 0 counts as off.
    """
    theta, h, layers = _forward(U, layers)
    delta = shaped("dtheta", dtheta, theta.shape)
    dlayers: list[Layer] = []
    for (W, b), h_in in zip(reversed(layers), reversed(h), strict=True):
        dW = np.tensordot(h_in, delta, (0, 0)).astype(W.dtype, copy=False)
        dlayers.insert(0, (dW, delta.sum(axis=0).astype(b.dtype, copy=False)))
        delta = np.tensordot(delta, W, (range(1, delta.ndim), range(1, W.ndim)))
        if h_in is not h[0]:
            delta = (h_in > 0) * delta
    U = feature_map(U)
    return delta.reshape(U.shape).astype(U.dtype, copy=False), dlayers


@quiet
def f_loc_jvp(
    U_dot: ArrayLike, layers_dot: Sequence[Layer], U: ArrayLike, layers: Sequence[Layer]
) -> Array:
    """How θ changes as the feature map and every weight do.

        ḣ_l = [h_l > 0] (ḣ_{l−1} W_l + h_{l−1} Ẇ_l + ḃ_l),   ḣ_0 = U̇                     §3.1

    U_dot       (B, H, W, C)  U̇, in U's dtype
    layers_dot  [(Ẇ, ḃ), …]   alike in structure, shapes and dtypes to layers
    Returns theta_dot, in θ's shape and dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    theta, h, layers = _forward(U, layers)
    U = feature_map(U)
    h_dot = tangent("U_dot", U_dot, "U", U).reshape(h[0].shape)
    if len(layers_dot) != len(layers):
        raise ValueError(f"layers_dot has {len(layers_dot)} layers; expected {len(layers)}")
    for l, (W, b) in enumerate(layers):
        W_dot, b_dot = a_pair("layers_dot", l, layers_dot[l])
        W_dot = tangent(f"layers_dot[{l}] W", W_dot, f"layers[{l}] W", W)
        b_dot = tangent(f"layers_dot[{l}] b", b_dot, f"layers[{l}] b", b)
        h_dot = np.tensordot(h_dot, W, 1) + np.tensordot(h[l], W_dot, 1) + b_dot
        if l + 1 < len(layers):
            h_dot = (h[l + 1] > 0) * h_dot
    return h_dot


def _forward(U: ArrayLike, layers: Sequence[Layer]) -> tuple[Array, list[Array], list[Layer]]:
    """θ, the input of every layer, and the layers, checked."""
    U = feature_map(U)
    if len(layers) == 0:
        raise ValueError("layers is empty; expected at least the final regression layer")
    h, checked = [U.reshape(len(U), prod(U.shape[1:]))], []
    for l, layer in enumerate(layers):
        W, b = a_pair("layers", l, layer)
        b = floating(f"layers[{l}] b", b)
        W = shaped(f"layers[{l}] W", W, (h[l].shape[1], *b.shape))
        checked.append((W, b))
        h.append(np.tensordot(h[l], W, 1) + b)
        if l < len(layers) - 1:
            h[-1] = np.maximum(0, h[-1])
    return h[-1], h[:-1], checked
