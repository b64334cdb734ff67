"""The reference backend: the equations themselves, and θ to V by the centred formula."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref import equations
from stn_ref.backends.pixels import in_double, matrices, source_pixels, source_pixels_backward
from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_transformation,
    feature_map,
    flag,
    shaped,
    sides,
    tangent,
    whole_size,
)
from stn_ref.equations.sampler import Kernels
from stn_ref.equations.transformation import forward_mode, has_matrix, require_its_axes


def is_available() -> bool:
    """True: it needs NumPy alone."""
    return True


def why_not() -> str:
    """Nothing is in the way."""
    return ""


def sample(
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    deterministic: bool = True,
) -> Array:
    """Eq. 3; see `stn_ref.equations.sample`. It is always deterministic."""
    flag("deterministic", deterministic)
    return equations.sample(U, xy, kernel=kernel, padding=padding, fill=fill)


def sample_backward(
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    deterministic: bool = True,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Eqs. 6 and 7; see `stn_ref.equations.sample_backward`."""
    flag("deterministic", deterministic)
    return equations.sample_backward(dV, U, xy, kernel=kernel, padding=padding, fill=fill, tie=tie)


def transform(
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    align_corners: bool = True,
    deterministic: bool = True,
) -> Array:
    """Warp a feature map: θ to source pixels by the centred formula, then Eq. 3.

    U      (B, H, W, C)             input feature map; signals and volumes as in `sample`
    theta  (B, *identity().shape)   parameters of the transformation
    size   (H', W') of the output, U's if None
    Returns V (B, H', W', C), in U's dtype and layout. At the identity of a transformation with a
    matrix, at U's size and with a kernel that interpolates, V equals U bit for bit.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    flag("deterministic", deterministic)
    U, theta = _checked(U, theta, transformation)
    xy = source_pixels(
        theta,
        transformation,
        U.shape[1:-1] if size is None else whole_size(size, U.ndim - 2),
        U.shape[1:-1],
        align_corners,
    )
    return equations.sample(U, xy, kernel=kernel, padding=padding, fill=fill)


def transform_backward(
    dV: ArrayLike,
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    align_corners: bool = True,
    deterministic: bool = True,
) -> tuple[Array, Array]:
    """The way back of `transform`: ∂L/∂θ = Σ_i ∂L/∂(x_i, y_i) ∂(x_i, y_i)/∂θ.

    dV  (B, H', W', C)  loss gradient at V, in U's dtype
    Returns dU in U's dtype and layout and dtheta in θ's dtype.
    """
    flag("deterministic", deterministic)
    U, theta = _checked(U, theta, transformation)
    dV = shaped("dV", dV, (len(U), *sides(U.ndim - 2), U.shape[-1]))
    xy = source_pixels(theta, transformation, dV.shape[1:-1], U.shape[1:-1], align_corners)
    dU, dxy, _ = equations.sample_backward(
        dV, U, xy, kernel=kernel, padding=padding, fill=fill, tie=tie
    )
    return dU, source_pixels_backward(dxy, theta, transformation, U.shape[1:-1], align_corners)


def transform_jvp(
    U_dot: ArrayLike,
    theta_dot: ArrayLike,
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    align_corners: bool = True,
) -> Array:
    """How V of `transform` changes as U and θ do; only the reference has this.

    The points are those of the centred formula, whose rounding decides on which side of a knot they
    lie; how they move does not depend on it, and comes from the paper's two steps.

    U_dot, theta_dot  tangents, each in the shape and dtype of U and θ
    tie               as in `equations.sample_jvp`
    Returns V_dot (B, H', W', C), in U's dtype and layout.
    Raises ValueError, too, if the transformation has no `grid_jvp`.
    """
    U, theta = _checked(U, theta, transformation)
    source, theta_dot = U.shape[1:-1], tangent("theta_dot", theta_dot, "theta", theta)
    size = source if size is None else whole_size(size, U.ndim - 2)
    xy = source_pixels(theta, transformation, size, source, align_corners)
    theta, theta_dot = (in_double(t, transformation) for t in (theta, theta_dot))
    G = equations.target_grid(size, align_corners=align_corners)
    grid_dot = forward_mode(transformation)(theta_dot, np.zeros_like(G), theta, G)
    xy_dot = equations.to_pixels_jvp(grid_dot, source, align_corners=align_corners)
    options: dict[str, Any] = {"kernel": kernel, "padding": padding, "fill": fill, "tie": tie}
    return equations.sample_jvp(U_dot, xy_dot.astype(xy.dtype, copy=False), U, xy, **options)


def _checked(U: ArrayLike, theta: ArrayLike, transformation: Transformation) -> tuple[Array, Array]:
    U, theta = feature_map(U), np.asarray(theta)
    require_its_axes(U, theta, checked_transformation(transformation))
    if has_matrix(transformation):
        matrices(np.array([transformation.identity()], float), transformation, U.ndim - 2)
    if len(in_double(theta, transformation)) != len(U):
        raise ValueError(f"theta has batch {len(theta)} and U has {len(U)}; they must be equal")
    return U, theta
