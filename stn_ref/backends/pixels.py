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

A signal has the terms of x alone; a volume has h₁₃ r_xz (k − c′_z) after that of y, then c̃_x h₁₄,
and a third row. The code goes over the axes, in the order (x, y, z).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, Size, checked_transformation, flag, shaped
from stn_ref.equations.lattice import (
    centre,
    half_extent,
    homogeneous,
    sum_of_outer_products,
    target_grid,
    to_pixels,
    to_pixels_backward,
)
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import Transformation, has_matrix


@quiet
def source_pixels(
    theta: Array, transformation: Transformation, size: Size, source: Size, align_corners: bool
) -> Array:
    """Where each output pixel comes from.

    theta   (B, *identity().shape)
    size    (H', W') of the output, source (H, W) of the input
    Returns xy (B, H', W', 2), pixels, float64 (or longdouble if θ is); (…, n) for n axes.
    """
    theta = in_double(theta, transformation)
    if not has_matrix(transformation):
        G = target_grid(size, align_corners=align_corners)
        grid = transformation.grid(theta, G)
        return to_pixels(grid, source, align_corners=align_corners)
    *xs, den = _centred(transformation, theta, size, source, align_corners)
    centres = [centre(S) for S in source[::-1]]
    return np.stack([x / den + c for x, c in zip(xs, centres, strict=True)], axis=-1)


@quiet
def source_pixels_backward(
    dxy: Array, theta: Array, transformation: Transformation, source: Size, align_corners: bool
) -> Array:
    """∂L/∂θ from ∂L/∂(x, y), along the same path; 0 from a point whose den is 0.

    dxy  (B, H', W', 2)
    Returns dtheta (B, *identity().shape), in θ's dtype.
    """
    size, given = dxy.shape[1:-1], np.asarray(theta).dtype
    theta = in_double(theta, transformation)
    dxy = dxy.astype(theta.dtype, copy=False)
    if not has_matrix(transformation):
        G = target_grid(size, align_corners=align_corners)
        dgrid = to_pixels_backward(dxy, source, align_corners=align_corners)
        dtheta, _ = transformation.grid_backward(dgrid, theta, G)
        return dtheta.astype(given, copy=False)
    *xs, den = _centred(transformation, theta, size, source, align_corners)
    ds = [np.where(den == 0, 0, dx / den) for dx in np.moveaxis(dxy, -1, 0)]
    dden = -_sum(map(_times, ds, xs)) / np.where(den == 0, 1, den)
    # every row of H multiplies the same three things but for the output's units: c̃_x, c̃_y, 1
    extents = [half_extent(S, align_corners) for S in source[::-1]]
    rows = np.stack([*(d * extent for d, extent in zip(ds, extents, strict=True)), dden], axis=-1)
    dmatrix = sum_of_outer_products(rows, _normalised(size, align_corners, theta.dtype))
    assert transformation.matrix_backward is not None
    return transformation.matrix_backward(dmatrix, theta).astype(given, copy=False)


def in_double(theta: ArrayLike, transformation: Transformation) -> Array:
    """θ (B, *identity().shape), checked, in float64 (or longdouble if it is)."""
    theta = shaped(
        "theta", theta, ("B", *np.shape(checked_transformation(transformation).identity()))
    )
    return theta.astype(np.result_type(theta, np.float64), copy=False)


def matrices(theta: Array, transformation: Transformation, axes: int) -> Array:
    """H (B, n + 1, n + 1), or a ValueError if the transformation is of other axes than U."""
    assert transformation.matrix is not None
    H = np.asarray(transformation.matrix(theta)).astype(theta.dtype, copy=False)
    if H.shape != (len(theta), axes + 1, axes + 1):
        raise ValueError(
            f"the matrix of {transformation.name} has shape {H.shape[1:]}; expected "
            f"{(axes + 1, axes + 1)}, for U has {axes} spatial axes: see affine({axes})"
        )
    return H


def _centred(
    transformation: Transformation, theta: Array, size: Size, source: Size, align_corners: bool
) -> list[Array]:
    """The brackets of x and y, and den: (B, H', W') each."""
    n, ac = len(size), flag("align_corners", align_corners)
    h = np.moveaxis(matrices(theta, transformation, n), 0, -1)
    h = np.expand_dims(h, tuple(range(3, 3 + n)))
    outs = [half_extent(S, ac) for S in size[::-1]]
    steps = [(np.arange(S) - centre(S)).reshape(-1, *[1] * a) for a, S in enumerate(size[::-1])]

    def row(k: int, extent: float) -> Array:
        terms = (h[k, a] * _over(extent, outs[a]) * steps[a] for a in range(n))
        return np.asarray(_sum(terms) + extent * h[k, n])

    extents = [*(half_extent(S, ac) for S in source[::-1]), 1.0]
    return [row(k, extent) for k, extent in enumerate(extents)]


def _normalised(size: Size, align_corners: bool, dtype: np.dtype[np.generic]) -> Array:
    """(j − c′_x)/c̃′_x, (i − c′_y)/c̃′_y and 1: what a row of H multiplies, (H', W', 3)."""
    G = target_grid(size, align_corners=align_corners)
    return homogeneous(G).astype(dtype)


def _sum(terms: Iterable[Array]) -> Array:
    """Left to right, from the first: no 0 is added."""
    return reduce(add, terms)


def _times(d: Array, p: Array) -> Array:
    """d p, and 0 where d is: no slope comes from a point at infinity."""
    return np.where(d == 0, 0, d * p)


def _over(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
