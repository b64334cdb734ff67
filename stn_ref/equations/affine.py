"""§3.2, Eqs. 1 and 2: the affine transformation A_θ, and those whose θ fills in its six numbers.

A matrix that is linear in θ is its own forward mode: Ȧ = A(θ̇).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    Array,
    number_of_axes,
    shaped,
    tangents,
    theta_and_lattice,
)
from stn_ref.equations.lattice import (
    homogeneous,
    per_image,
    sum_of_outer_products,
    summed_like,
)
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import Transformation, named


@quiet
def affine_grid(theta: ArrayLike, G: ArrayLike) -> Array:
    """Send every target point to its source point.

        (x_i^s, y_i^s)^T = A_θ (x_i^t, y_i^t, 1)^T                            Eq. 1

    theta  (B, 2, 3)                       A_θ
    G      (H', W', 2) or (B, H', W', 2)   target points, normalised, (x, y)
    Returns T_θ(G) (B, H', W', 2), normalised, in the wider dtype of θ and G. A θ of (B, 1, 2) or
    (B, 3, 4) sends the points of signals, (x), or of volumes, (x, y, z).
    Raises TypeError or ValueError for a θ or G of a wrong shape or dtype.
    """
    theta, G = _matrix_and_lattice(theta, G)
    A_T = per_image(theta.swapaxes(1, 2), G.shape[-1])
    return homogeneous(G) @ A_T


@quiet
def affine_grid_backward(dgrid: ArrayLike, theta: ArrayLike, G: ArrayLike) -> tuple[Array, Array]:
    """Gradients of Eq. 1, which is linear in θ and in G.

        ∂L/∂A_θ = Σ_i ∂L/∂(x_i^s, y_i^s)^T (x_i^t, y_i^t, 1)                  Eq. 1
        ∂L/∂G_i = A_θ[:, :2]^T ∂L/∂(x_i^s, y_i^s)^T

    dgrid  (B, H', W', 2)  gradient of the loss at the source points
    Returns dtheta (B, 2, 3) in θ's dtype and dG in G's shape and dtype.
    """
    theta, G = _matrix_and_lattice(theta, G)
    axes = G.shape[-1]
    dgrid = shaped("dgrid", dgrid, (len(theta), *G.shape[-1 - axes :]))
    dtheta = sum_of_outer_products(dgrid, homogeneous(G))
    dG = dgrid @ per_image(theta[..., :-1], axes)
    dG = summed_like(dG, G)
    return dtheta.astype(theta.dtype, copy=False), dG.astype(G.dtype, copy=False)


@quiet
def affine_grid_jvp(
    theta_dot: ArrayLike, G_dot: ArrayLike, theta: ArrayLike, G: ArrayLike
) -> Array:
    """How the source points change as A_θ and the target points do.

        (ẋ_i^s, ẏ_i^s)^T = Ȧ_θ (x_i^t, y_i^t, 1)^T + A_θ[:, :2] (ẋ_i^t, ẏ_i^t)^T    Eq. 1

    theta_dot, G_dot  the tangents of θ and G, each in its shape and dtype
    Returns grid_dot (B, H', W', 2), in the wider dtype of θ and G.
    """
    theta, G = _matrix_and_lattice(theta, G)
    theta_dot, G_dot = tangents(theta_dot, G_dot, theta, G)
    A_T, A_dot_T = (per_image(A.swapaxes(1, 2), G.shape[-1]) for A in (theta, theta_dot))
    return homogeneous(G) @ A_dot_T + G_dot @ A_T[..., :-1, :]


def _matrix_and_lattice(theta: ArrayLike, G: ArrayLike) -> tuple[Array, Array]:
    """A_θ (B, n, n + 1) and G of n axes; a θ of any other shape is checked as if n were 2."""
    shape = np.shape(theta)[1:]
    axes = shape[0] if shape in ((1, 2), (3, 4)) else 2
    return theta_and_lattice(theta, G, (axes, axes + 1), axes)


def attention_matrix(theta: Array) -> Array:
    """Scale and translation only: crop, in a word.

        A_θ = [ s  0  t_x ]
              [ 0  s  t_y ]                                                   Eq. 2

    theta  (B, 3)  s, t_x, t_y; of n axes (B, 1 + n), one s for all and a t for each
    Returns A_θ (B, 2, 3), of n axes (B, n, n + 1).
    """
    s, t = theta[:, :1, None], theta[:, 1:, None]
    return np.concatenate([np.where(np.eye(t.shape[1]), s, 0), t], axis=2)


def attention_matrix_backward(dA: Array, theta: Array) -> Array:
    """ds = dA_11 + dA_22, dt_x = dA_13, dt_y = dA_23; dA (B, 2, 3) → dθ (B, 3).    Eq. 2"""
    ds = np.trace(dA, axis1=1, axis2=2)[:, None]
    return np.concatenate([ds, dA[..., -1]], axis=1)


def translation_matrix(theta: Array) -> Array:
    """[1 0 t_x; 0 1 t_y] from θ (B, 2) = t_x, t_y, of n axes (B, n).                §3.2"""
    s = np.ones_like(theta[:, :1])
    return attention_matrix(np.concatenate([s, theta], axis=1))


def translation_matrix_backward(dA: Array, theta: Array) -> Array:
    """dt_x = dA_13, dt_y = dA_23; dA (B, 2, 3) → dθ (B, 2)."""
    return dA[..., -1]


def translation_matrix_jvp(theta_dot: Array, theta: Array) -> Array:
    """[0 0 ṫ_x; 0 0 ṫ_y]."""
    return attention_matrix(np.concatenate([0 * theta_dot[:, :1], theta_dot], axis=1))


def similarity_matrix(theta: Array) -> Array:
    """[a −b t_x; b a t_y] from θ (B, 4) = a, b, t_x, t_y: rotation and scale.     §3.2"""
    a, b, t_x, t_y = theta.T
    return _rows([a, -b, t_x], [b, a, t_y])


def similarity_matrix_backward(dA: Array, theta: Array) -> Array:
    """da = dA_11 + dA_22, db = dA_21 − dA_12, dt as above; dA (B, 2, 3) → dθ (B, 4)."""
    da, db = dA[:, 0, 0] + dA[:, 1, 1], dA[:, 1, 0] - dA[:, 0, 1]
    return np.stack([da, db, dA[:, 0, 2], dA[:, 1, 2]], axis=-1)


@quiet
def rotation_matrix(theta: Array) -> Array:
    """[cos a −sin a 0; sin a cos a 0] from θ (B, 1) = a, in radians.              §3.2"""
    cos, sin = np.cos(theta[:, 0]), np.sin(theta[:, 0])
    return _rows([cos, -sin, 0], [sin, cos, 0])


def rotation_matrix_backward(dA: Array, theta: Array) -> Array:
    """da = cos a (dA_21 − dA_12) − sin a (dA_11 + dA_22); dA (B, 2, 3) → dθ (B, 1)."""
    cos, sin = np.cos(theta[:, 0]), np.sin(theta[:, 0])
    da = cos * (dA[:, 1, 0] - dA[:, 0, 1]) - sin * (dA[:, 0, 0] + dA[:, 1, 1])
    return np.stack([da], axis=1)


@quiet
def rotation_matrix_jvp(theta_dot: Array, theta: Array) -> Array:
    """ȧ [−sin a −cos a 0; cos a −sin a 0]."""
    a_dot = theta_dot[:, 0]
    cos, sin = a_dot * np.cos(theta[:, 0]), a_dot * np.sin(theta[:, 0])
    return _rows([-sin, -cos, 0], [cos, -sin, 0])


def _rows(first: list[Array | int], second: list[Array | int]) -> Array:
    """(B, 2, 3) from entries that are (B,) or constant; laid out as the equation is printed."""
    entries = np.broadcast_arrays(*[e for e in first + second if isinstance(e, np.ndarray)])
    A = np.zeros((len(entries[0]), 2, 3), entries[0].dtype)
    for k, row in enumerate((first, second)):
        for l, entry in enumerate(row):
            A[:, k, l] = entry
    return A


def _within_affine(
    name: str,
    identity: ArrayLike,
    A: Callable[[Array], Array],
    A_backward: Callable[[Array, Array], Array],
    A_jvp: Callable[[Array, Array], Array] | None = None,
) -> Transformation:
    """The transformation whose θ makes an affine matrix A(θ): Eq. 1 does the rest."""
    parameters = np.shape(identity)
    axes = A(np.array(identity, float)[None]).shape[1]

    def grid(theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, parameters, axes)
        return affine_grid(A(theta), G)

    @quiet
    def grid_backward(dgrid: ArrayLike, theta: ArrayLike, G: ArrayLike) -> tuple[Array, Array]:
        theta, G = theta_and_lattice(theta, G, parameters, axes)
        dA, dG = affine_grid_backward(dgrid, A(theta), G)
        return A_backward(dA, theta), dG

    def grid_jvp(theta_dot: ArrayLike, G_dot: ArrayLike, theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, parameters, axes)
        theta_dot, G_dot = tangents(theta_dot, G_dot, theta, G)
        A_dot = A_jvp(theta_dot, theta) if A_jvp else A(theta_dot)
        return affine_grid_jvp(A_dot, G_dot, A(theta), G)

    def matrix(theta: ArrayLike) -> Array:
        theta = shaped("theta", theta, ("B", *parameters))
        last = np.broadcast_to(np.eye(axes + 1, dtype=theta.dtype)[-1:], (len(theta), 1, axes + 1))
        return np.concatenate([A(theta), last], axis=1)

    @quiet
    def matrix_backward(dmatrix: ArrayLike, theta: ArrayLike) -> Array:
        theta = shaped("theta", theta, ("B", *parameters))
        dmatrix = shaped("dmatrix", dmatrix, (len(theta), axes + 1, axes + 1))
        return A_backward(dmatrix[:, :-1], theta).astype(theta.dtype)

    start = np.array(identity, float)
    return Transformation(name, start.copy, grid, grid_backward, matrix, matrix_backward, grid_jvp)


def affine(axes: int) -> Transformation:
    """Eq. 1 on signals (1 axis), maps (2) or volumes (3): θ is A_θ, (B, n, n + 1).

    Raises ValueError if axes is none of these.
    """
    n = number_of_axes(axes)
    name, start = named("affine", n), np.eye(n, n + 1)
    return _within_affine(name, start, lambda A: A, lambda dA, A: dA).made_by(affine, n)


def attention(axes: int) -> Transformation:
    """Eq. 2 on 1, 2 or 3 axes: θ is s, t_x[, t_y[, t_z]].

    Raises ValueError if axes is none of these.
    """
    n = number_of_axes(axes)
    columns = np.eye(1, 1 + n)[0], attention_matrix, attention_matrix_backward
    return _within_affine(named("attention", n), *columns).made_by(attention, n)


def translation(axes: int) -> Transformation:
    """Translation on 1, 2 or 3 axes: θ is t_x[, t_y[, t_z]].

    Raises ValueError if axes is none of these.
    """
    n = number_of_axes(axes)
    columns = translation_matrix, translation_matrix_backward, translation_matrix_jvp
    T = _within_affine(named("translation", n), np.zeros(n), *columns)
    return T.made_by(translation, n)


AFFINE = affine(2).known_as("AFFINE")
ATTENTION = attention(2).known_as("ATTENTION")
TRANSLATION = translation(2).known_as("TRANSLATION")
SIMILARITY = _within_affine(
    "similarity", [1, 0, 0, 0], similarity_matrix, similarity_matrix_backward
).known_as("SIMILARITY")
ROTATION = _within_affine(
    "rotation", [0], rotation_matrix, rotation_matrix_backward, rotation_matrix_jvp
).known_as("ROTATION")
