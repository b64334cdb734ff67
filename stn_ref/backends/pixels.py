"""From θ to source pixels: the one place where rounding decides on which side of a knot x falls.

The paper's two steps, normalise and return, miss integers by rounding at most sizes, and a point
that should lie on a knot then lies on a random side of it. For a transformation with a matrix H
the pixels are therefore computed in one centred formula, in float64, whose steps are fixed:

    x = [h₁₁ r_xx (j − c′_x) + h₁₂ r_xy (i − c′_y) + c̃_x h₁₃] / den + c_x
    y = [h₂₁ r_yx (j − c′_x) + h₂₂ r_yy (i − c′_y) + c̃_y h₂₃] / den + c_y
    den = h₃₁ (1/c̃′_x) (j − c′_x) + h₃₂ (1/c̃′_y) (i − c′_y) + h₃₃

c and c̃ are the centre and the half-extent of the input's axes and c′, c̃′ those of the output's,
r_xy = c̃_x/c̃′_y, and a ratio over 0 is 0; products left to right, then sums left to right.
At the identity x = j and y = i exactly, so the image comes back unchanged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, Size, flag, shaped
from stn_ref.equations.lattice import (
    centre,
    half_extent,
    homogeneous,
    target_grid,
    to_pixels,
    to_pixels_backward,
)
from stn_ref.equations.transformation import Transformation, checked, has_matrix


@np.errstate(all="ignore")
def source_pixels(
    theta: Array, transformation: Transformation, size: Size, source: Size, align_corners: bool
) -> Array:
    """Where each output pixel comes from.

    theta   (B, *identity().shape)
    size    (H', W') of the output, source (H, W) of the input
    Returns xy (B, H', W', 2), pixels, float64 (or longdouble if θ is).
    """
    theta = in_double(theta, transformation)
    if not has_matrix(transformation):
        G = target_grid(size, align_corners=align_corners)
        grid = transformation.grid(theta, G)
        return to_pixels(grid, source, align_corners=align_corners)
    x, y, den = _centred(transformation, theta, size, source, align_corners)
    return np.stack([x / den + centre(source[1]), y / den + centre(source[0])], axis=-1)


@np.errstate(all="ignore")
def source_pixels_backward(
    dxy: Array, theta: Array, transformation: Transformation, source: Size, align_corners: bool
) -> Array:
    """∂L/∂θ from ∂L/∂(x, y), along the same path; 0 from a point whose den is 0.

    dxy  (B, H', W', 2)
    Returns dtheta (B, *identity().shape), in θ's dtype.
    """
    size, given = dxy.shape[1:3], np.asarray(theta).dtype
    theta = in_double(theta, transformation)
    dxy = dxy.astype(theta.dtype, copy=False)
    if not has_matrix(transformation):
        G = target_grid(size, align_corners=align_corners)
        dgrid = to_pixels_backward(dxy, source, align_corners=align_corners)
        dtheta, _ = transformation.grid_backward(dgrid, theta, G)
        return dtheta.astype(given, copy=False)
    x, y, den = _centred(transformation, theta, size, source, align_corners)
    d_x, d_y = (np.where(den == 0, 0, dxy[..., a] / den) for a in range(2))
    dden = -(_times(d_x, x) + _times(d_y, y)) / np.where(den == 0, 1, den)
    # every row of H multiplies the same three things but for the output's units: c̃_x, c̃_y, 1
    extent_x, extent_y = (half_extent(s, align_corners) for s in (source[1], source[0]))
    rows = np.stack([d_x * extent_x, d_y * extent_y, dden], axis=-1)
    dmatrix = np.einsum("bijk,ijl->bkl", rows, _normalised(size, align_corners, theta.dtype))
    assert transformation.matrix_backward is not None
    return transformation.matrix_backward(dmatrix, theta).astype(given, copy=False)


def in_double(theta: ArrayLike, transformation: Transformation) -> Array:
    """θ (B, *identity().shape), checked, in float64 (or longdouble if it is)."""
    theta = shaped("theta", theta, ("B", *np.shape(checked(transformation).identity())))
    return theta.astype(np.result_type(theta, np.float64), copy=False)


def _centred(
    transformation: Transformation, theta: Array, size: Size, source: Size, align_corners: bool
) -> tuple[Array, Array, Array]:
    """The brackets of x and y, and den: (B, H', W') each."""
    assert transformation.matrix is not None
    H = np.asarray(transformation.matrix(theta)).astype(theta.dtype, copy=False)
    h = np.moveaxis(H, 0, -1)[..., None, None]
    ac = flag("align_corners", align_corners)
    j, i = np.arange(size[1]) - centre(size[1]), (np.arange(size[0]) - centre(size[0]))[:, None]
    out_x, out_y = half_extent(size[1], ac), half_extent(size[0], ac)

    def row(k: int, extent: float) -> Array:
        terms = h[k, 0] * _over(extent, out_x) * j + h[k, 1] * _over(extent, out_y) * i
        return np.asarray(terms + extent * h[k, 2])

    return row(0, half_extent(source[1], ac)), row(1, half_extent(source[0], ac)), row(2, 1.0)


def _normalised(size: Size, align_corners: bool, dtype: np.dtype[np.generic]) -> Array:
    """(j − c′_x)/c̃′_x, (i − c′_y)/c̃′_y and 1: what a row of H multiplies, (H', W', 3)."""
    G = target_grid(size, align_corners=align_corners)
    return homogeneous(G).astype(dtype)


def _times(d: Array, p: Array) -> Array:
    """d p, and 0 where d is: no slope comes from a point at infinity."""
    return np.where(d == 0, 0, d * p)


def _over(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
