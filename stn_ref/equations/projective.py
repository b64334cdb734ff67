"""§3.2, plane projective transformations: a matrix on (x, y, 1), then the homogeneous divide."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, shaped, tangents, theta_and_lattice
from stn_ref.equations.lattice import (
    homogeneous,
    per_image,
    sum_of_outer_products,
    summed_like,
)
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import Transformation


@quiet
def projective_grid(theta: ArrayLike, G: ArrayLike) -> Array:
    """Send every target point through a plane projective map.

        (p, q, w)^T = H_θ (x^t, y^t, 1)^T,   (x^s, y^s) = (p/w, q/w)          §3.2

    The paper's T_θ = M_θ B is this only before the divide.

    theta  (B, 8)                          H_θ, row-major, without its last entry h₃₃ = 1
    G      (H', W', 2) or (B, H', W', 2)   target points, normalised, (x, y)
    Returns T_θ(G) (B, H', W', 2), normalised; where w is 0, what IEEE division gives.
    Raises TypeError or ValueError for a θ or G of a wrong shape or dtype.
    """
    theta, G = theta_and_lattice(theta, G, (8,), 2)
    p = _project(theta, G)
    return p[..., :2] / p[..., 2:]


@quiet
def projective_grid_backward(
    dgrid: ArrayLike, theta: ArrayLike, G: ArrayLike
) -> tuple[Array, Array]:
    """Gradients of the projective map; nothing flows back from a point where w is 0.

        ∂L/∂p = ∂L/∂x^s / w,   ∂L/∂w = −(∂L/∂x^s x^s + ∂L/∂y^s y^s)/w          §3.2

    dgrid  (B, H', W', 2)  gradient of the loss at the source points
    Returns dtheta (B, 8) in θ's dtype and dG in G's shape and dtype.
    """
    theta, G = theta_and_lattice(theta, G, (8,), 2)
    dgrid = shaped("dgrid", dgrid, (len(theta), *G.shape[-3:]))
    p = _project(theta, G)
    w = p[..., 2:]
    d = dgrid / w
    dw = -np.sum(d * p[..., :2], axis=-1, keepdims=True) / w
    dp = np.where(w == 0, 0, np.concatenate([d, dw], axis=-1))
    dtheta = projective_matrix_backward(sum_of_outer_products(dp, homogeneous(G)), theta)
    dG = dp @ projective_matrix(theta)[:, None, :, :2]
    dG = summed_like(dG, G)
    return dtheta, dG.astype(G.dtype, copy=False)


@quiet
def projective_grid_jvp(
    theta_dot: ArrayLike, G_dot: ArrayLike, theta: ArrayLike, G: ArrayLike
) -> Array:
    """How the source points change; where w is 0 they do not.

        (ṗ, q̇, ẇ)^T = Ḣ_θ (x^t, y^t, 1)^T + H_θ[:, :2] (ẋ^t, ẏ^t)^T,   ẋ^s = (ṗ − x^s ẇ)/w   §3.2

    theta_dot, G_dot  the tangents of θ and G, each in its shape and dtype
    Returns grid_dot (B, H', W', 2), in the wider dtype of θ and G.
    """
    theta, G = theta_and_lattice(theta, G, (8,), 2)
    theta_dot, G_dot = tangents(theta_dot, G_dot, theta, G)
    slopes, H_dot = projective_matrix(theta)[..., :2], projective_matrix_jvp(theta_dot, theta)
    slopes_T, H_dot_T = (per_image(M.swapaxes(1, 2), 2) for M in (slopes, H_dot))
    p, p_dot = _project(theta, G), homogeneous(G) @ H_dot_T + G_dot @ slopes_T
    w, w_dot = p[..., 2:], p_dot[..., 2:]
    return np.where(w == 0, 0, (p_dot[..., :2] - p[..., :2] / w * w_dot) / w)


def projective_matrix(theta: ArrayLike) -> Array:
    """H_θ (B, 3, 3) from θ (B, 8): h₃₃ = 1."""
    theta = shaped("theta", theta, ("B", 8))
    return np.concatenate([theta, np.ones_like(theta[:, :1])], axis=1).reshape(len(theta), 3, 3)


@quiet
def projective_matrix_backward(dmatrix: ArrayLike, theta: ArrayLike) -> Array:
    """dθ (B, 8), the gradient of every entry but h₃₃."""
    theta = shaped("theta", theta, ("B", 8))
    dmatrix = shaped("dmatrix", dmatrix, (len(theta), 3, 3))
    return dmatrix.reshape(len(theta), 9)[:, :8].astype(theta.dtype)


def projective_matrix_jvp(theta_dot: Array, theta: Array) -> Array:
    """Ḣ_θ (B, 3, 3): ḣ₃₃ = 0."""
    return projective_matrix(theta_dot) * (np.arange(9) < 8).reshape(3, 3)


def _project(theta: Array, G: Array) -> Array:
    """(p, q, w) of every point, (B, H', W', 3)."""
    return homogeneous(G) @ projective_matrix(theta).swapaxes(1, 2)[:, None]


PROJECTIVE = Transformation(
    "projective",
    lambda: np.eye(3).reshape(9)[:8],
    projective_grid,
    projective_grid_backward,
    projective_matrix,
    projective_matrix_backward,
    projective_grid_jvp,
).known_as("PROJECTIVE")
