"""What the compiled backends share on the host: a dtype they take, and θ's part of the formula.

`reference` shares none of it, so that either can be held against the other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.backends.pixels import in_double, matrices
from stn_ref.equations import Transformation
from stn_ref.equations.arguments import Array, Size, checked_transformation, feature_map
from stn_ref.equations.lattice import half_extent
from stn_ref.equations.transformation import has_matrix, require_its_axes


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
    require_its_axes(U, theta, checked_transformation(transformation))
    try:
        own = in_double(theta, transformation)
    except ValueError:
        if has_matrix(transformation):
            matrices(np.array([transformation.identity()], float), transformation, U.ndim - 2)
        raise
    if len(own) != len(U):
        raise ValueError(f"theta has batch {len(theta)} and U has {len(U)}; they must be equal")
    return theta


def coefficients(
    theta: Array, transformation: Transformation, size: Size, source: Size, align_corners: bool
) -> Array:
    """What multiplies j − c′_x and i − c′_y in the centred formula, and what is added.

    Returns (B, n + 1, n + 1), float64: h₁₁ r_xx, h₁₂ r_xy and c̃_x h₁₃, then y's, then den's.
    """
    with np.errstate(all="ignore"):
        H = matrices(in_double(theta, transformation), transformation, len(size))
        return np.ascontiguousarray(H * _ratios(size, source, align_corners))


@lru_cache(maxsize=256)
def _ratios(size: Size, source: Size, align_corners: bool) -> Array:
    """r_xx, r_xy and c̃_x, then y's, then those of den; a ratio over 0 is 0."""
    ins, outs = _extents(size, source, align_corners)
    return np.array([[e / out if out else 0.0 for out in outs] + [e] for e in ins])


def theta_gradient(
    dA: Array,
    theta: Array,
    transformation: Transformation,
    size: Size,
    source: Size,
    align_corners: bool,
) -> Array:
    """dtheta, in θ's dtype, from ∂L/∂ the centred formula's coefficients, dA (B, n + 1, n + 1)."""
    ins, outs = _extents(size, source, align_corners)
    with np.errstate(all="ignore"):
        dmatrix = dA * np.outer(ins, [*(1 / out if out else 0.0 for out in outs), 1.0])
        assert transformation.matrix_backward is not None
        dtheta = transformation.matrix_backward(dmatrix, in_double(theta, transformation))
        return np.asarray(dtheta).astype(theta.dtype, copy=False)


def _extents(size: Size, source: Size, align_corners: bool) -> tuple[list[float], list[float]]:
    """c̃_x, c̃_y of the input, and 1 for den; c̃′_x, c̃′_y of the output."""
    ins, outs = ([half_extent(S, align_corners) for S in sides[::-1]] for sides in (source, size))
    return [*ins, 1.0], outs
