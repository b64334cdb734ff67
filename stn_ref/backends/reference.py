"""The reference backend: the equations themselves, and θ to V by the centred formula."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref import equations
from stn_ref.backends.call import Call, fitting_theta
from stn_ref.backends.pixels import in_double, source_pixels
from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import Array, Size, feature_map, tangent, whole_size
from stn_ref.equations.sampler import Kernels
from stn_ref.equations.transformation import forward_mode

LONGDOUBLE = True
look = read = np.asarray


def is_available() -> bool:
    """True: it needs NumPy alone."""
    return True


def why_not() -> str:
    """Nothing is in the way."""
    return ""


def evaluate(call: Call) -> Array:
    """Eq. 3; see `stn_ref.equations.sample`."""
    how: dict[str, Any] = {"kernel": call.kernels, "padding": call.padding, "fill": call.fill}
    return equations.sample(call.U, call.points(), **how)


def evaluate_backward(call: Call) -> Any:
    """Eqs. 6 and 7, and ∂L/∂θ = Σ_i ∂L/∂(x_i, y_i) ∂(x_i, y_i)/∂θ where there is a θ."""
    assert call.dV is not None
    how: dict[str, Any] = {"kernel": call.kernels, "padding": call.padding, "fill": call.fill}
    found = equations.sample_backward(call.dV, call.U, call.points(), tie=call.tie, **how)
    if call.xy is not None:
        return found
    dU, dxy, _ = found
    return dU, call.theta_gradient(dxy)


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
    U, theta = feature_map(U), np.asarray(theta)
    fitting_theta(theta, U, transformation)
    source, theta_dot = U.shape[1:-1], tangent("theta_dot", theta_dot, "theta", theta)
    size = source if size is None else whole_size(size, U.ndim - 2)
    xy = source_pixels(theta, transformation, size, source, align_corners)
    theta, theta_dot = (in_double(t, transformation) for t in (theta, theta_dot))
    G = equations.target_grid(size, align_corners=align_corners)
    grid_dot = forward_mode(transformation)(theta_dot, np.zeros_like(G), theta, G)
    xy_dot = equations.to_pixels_jvp(grid_dot, source, align_corners=align_corners)
    options: dict[str, Any] = {"kernel": kernel, "padding": padding, "fill": fill, "tie": tie}
    return equations.sample_jvp(U_dot, xy_dot.astype(xy.dtype, copy=False), U, xy, **options)
