"""§3.4, the spatial transformer: localise, make the grid, sample. Figure 2 of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.affine import AFFINE
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_transformation,
    feature_map,
    shaped,
    sides,
)
from stn_ref.equations.kernels import BILINEAR
from stn_ref.equations.lattice import (
    target_grid,
    to_pixels,
    to_pixels_backward,
    to_pixels_jvp,
)
from stn_ref.equations.localisation import Layer, f_loc, f_loc_backward, f_loc_jvp
from stn_ref.equations.sampler import Kernels, sample, sample_backward, sample_jvp
from stn_ref.equations.transformation import Transformation, forward_mode


def spatial_transformer(
    U: ArrayLike,
    layers: Sequence[Layer],
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    align_corners: bool = True,
) -> Array:
    """Transform a feature map by what a localisation network sees in it.

        θ = f_loc(U),   xy = T_θ(G),   V_i^c = Σ_n Σ_m U_nm^c k(x_i − m) k(y_i − n)   §3.4

    In the paper's own steps, G to T_θ(G) to pixels, whose rounding may leave a point that belongs
    on a knot on either side of it; `stn_ref.transform` goes from θ to pixels in one.

    U       (B, H, W, C)  input feature map
    layers  [(W, b), …]   weights of f_loc, whose θ is the transformation's
    size    (H', W') of the output, U's if None
    The rest is as in `sample` and `target_grid`; signals and volumes too.
    Returns V (B, H', W', C), in U's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U = feature_map(U)
    size = U.shape[1:-1] if size is None else size
    G = target_grid(size, align_corners=align_corners)
    grid = checked_transformation(transformation).grid(f_loc(U, layers), G)
    xy = to_pixels(grid, U.shape[1:-1], align_corners=align_corners)
    return sample(U, xy, kernel=kernel, padding=padding)


def spatial_transformer_backward(
    dV: ArrayLike,
    U: ArrayLike,
    layers: Sequence[Layer],
    *,
    transformation: Transformation = AFFINE,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    tie: str = "right",
    align_corners: bool = True,
) -> tuple[Array, list[Layer]]:
    """Walk the same stairs back; U is reached twice, as what is sampled and as what is seen.   §3.4

        ∂L/∂U = (Eq. 6) + ∂L/∂θ ∂f_loc/∂U,   ∂L/∂θ = Σ_i (Eq. 7) ∂T_θ(G_i)/∂θ

    dV  (B, H', W', C)  loss gradient at V, in U's dtype; its size is the output's
    Returns dU (B, H, W, C) in U's dtype and layout, and dlayers, alike in structure to layers.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U = feature_map(U)
    dV = shaped("dV", dV, (len(U), *sides(U.ndim - 2), U.shape[-1]))
    theta, G = f_loc(U, layers), target_grid(dV.shape[1:-1], align_corners=align_corners)
    grid = checked_transformation(transformation).grid(theta, G)
    xy = to_pixels(grid, U.shape[1:-1], align_corners=align_corners)

    dU, dxy, _ = sample_backward(dV, U, xy, kernel=kernel, padding=padding, tie=tie)
    dgrid = to_pixels_backward(dxy, U.shape[1:-1], align_corners=align_corners)
    dtheta, _ = transformation.grid_backward(dgrid, theta, G)
    dU_seen, dlayers = f_loc_backward(dtheta, U, layers)
    dU += dU_seen
    return dU, dlayers


def spatial_transformer_jvp(
    U_dot: ArrayLike,
    layers_dot: Sequence[Layer],
    U: ArrayLike,
    layers: Sequence[Layer],
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    tie: str = "right",
    align_corners: bool = True,
) -> Array:
    """How V changes as U and the weights do: up the stairs with a tangent beside each value.

        θ̇ = ḟ_loc,   ẋy = ∂T_θ(G)/∂θ θ̇,   V̇ = (Eq. 6) U̇ + (Eq. 7) ẋy                  §3.4

    U_dot, layers_dot  tangents, alike to U and layers in structure, shapes and dtypes
    The rest is as in `spatial_transformer`; tie as in `sample_jvp`.
    Returns V_dot (B, H', W', C), in U's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value, or if the
    transformation has no `grid_jvp`.
    """
    U = feature_map(U)
    size = U.shape[1:-1] if size is None else size
    theta, G = f_loc(U, layers), target_grid(size, align_corners=align_corners)
    grid = checked_transformation(transformation).grid(theta, G)
    xy = to_pixels(grid, U.shape[1:-1], align_corners=align_corners)

    theta_dot = f_loc_jvp(U_dot, layers_dot, U, layers)
    grid_dot = forward_mode(transformation)(theta_dot, np.zeros_like(G), theta, G)
    xy_dot = to_pixels_jvp(grid_dot, U.shape[1:-1], align_corners=align_corners)
    return sample_jvp(U_dot, xy_dot, U, xy, tie=tie, kernel=kernel, padding=padding)
