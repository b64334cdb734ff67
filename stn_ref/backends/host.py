"""What the compiled backends share on the host: a dtype they take, and θ's part of the formula.

`reference` shares none of it, so that either can be held against the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.backends.pixels import in_double, matrices
from stn_ref.equations import Transformation
from stn_ref.equations.arguments import Array, Size, feature_map
from stn_ref.equations.lattice import half_extent
from stn_ref.equations.transformation import has_matrix


def double_at_most(name: str, array: Array, backend: str) -> Array:
    """The array; TypeError if it has longdouble where that is more than float64."""
    if array.dtype == np.longdouble and np.dtype(np.longdouble) != np.dtype(np.float64):
        raise TypeError(
            f"{name} has dtype {array.dtype}; the {backend} backend takes float32 and float64: "
            'cast it, or use backend="reference"'
        )
    return array


def checked_map(U: ArrayLike, backend: str) -> Array:
    """U (B, H, W, C), a signal or a volume, of a dtype that the compiled backends take."""
    return double_at_most("U", feature_map(U), backend)


def checked_theta(theta: Array, U: Array, transformation: Transformation, backend: str) -> Array:
    """θ of U's batch; ValueError also if the transformation is a matrix of other axes than U's."""
    theta = double_at_most("theta", theta, backend)
    try:
        own = in_double(theta, transformation)
    except ValueError:
        if has_matrix(transformation):
            matrices(np.array([transformation.identity()], float), transformation, U.ndim - 2)
        raise
    if len(own) != len(U):
        raise ValueError(f"theta has batch {len(theta)} and U has {len(U)}; they must be equal")
    return theta


def extents(size: Size, source: Size, align_corners: bool) -> list[float]:
    """c̃ of the input's axes, x first, then of the output's."""
    return [half_extent(side, align_corners) for side in (*source[::-1], *size[::-1])]


def over(numerator: float, denominator: float) -> float:
    """A ratio; over 0 it is 0."""
    return numerator / denominator if denominator else 0.0


def theta_gradient(
    dA: Array, extents: list[float] | Array, theta: Array, transformation: Transformation
) -> Array:
    """dtheta, in θ's dtype, from ∂L/∂ the centred formula's coefficients, dA (B, n + 1, n + 1)."""
    ins, outs = extents[: len(extents) // 2], extents[len(extents) // 2 :]
    with np.errstate(all="ignore"):
        inverse = [*(over(1.0, out) for out in outs), 1.0]
        dmatrix = dA * np.outer([*ins, 1.0], inverse)
        assert transformation.matrix_backward is not None
        dtheta = transformation.matrix_backward(dmatrix, in_double(theta, transformation))
        return np.asarray(dtheta).astype(theta.dtype, copy=False)
