"""§3.2, thin plate splines: bend a metal sheet as little as the control points allow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, number, shaped
from stn_ref.equations.lattice import homogeneous, target_grid
from stn_ref.equations.linear import Linear, linear


def thin_plate_spline(
    control_points: ArrayLike | None = None, *, regularisation: float = 0.0
) -> Linear:
    """The map that takes each control point c_k to θ_k and bends least in between.

        T_θ(p) = Σ_k w_k U(|p − c_k|) + a_0 + a_x x + a_y y,   U(r) = r² log r    §3.2

    With L = [K + λI, P; P^T, 0], K_kl = U(|c_k − c_l|) and P = (x, y, 1), the coefficients are
    L⁻¹ (θ; 0). So T_θ(p) = B(p) θ with B(p) = (U(|p − c_1|), …, x, y, 1) L⁻¹[:, :K], solved here
    once, in float64. The paper gives neither the form of θ nor λ; positions and λ are ours.

    control_points  (K, 2)  c_k, normalised; the 4 × 4 lattice on [−1, 1]² if None
    regularisation  λ ≥ 0; above 0 the points are approached, not met, and affine maps are still
                    reproduced
    θ is (B, K, 2), the source positions of the control points.
    `spline_condition` reports how well the system is conditioned.
    Raises ValueError for fewer than three points, for points that coincide or lie on one line, or
    so nearly that no digit would be left, and for λ < 0.
    """
    points, L = _system(control_points, regularisation)
    K = len(points)
    coefficients = np.linalg.solve(L, np.eye(K + 3, K))

    def basis(G: Array) -> Array:
        bends = _bend(_squared_distances(G, points)[0])
        return np.asarray(np.concatenate([bends, homogeneous(G)], axis=-1) @ coefficients)

    def basis_backward(dB: Array, G: Array) -> Array:
        d = dB @ coefficients.T
        squared, offset = _squared_distances(G, points)
        slope = d[..., :K] * _bend_slope(squared)
        return np.asarray(np.sum(slope[..., None] * offset, axis=-2) + d[..., K : K + 2])

    return linear(basis, basis_backward, points, name="thin plate spline")


def spline_condition(
    control_points: ArrayLike | None = None, *, regularisation: float = 0.0
) -> float:
    """The condition number of L: θ's relative error may come out this many times larger.

    164 for the default points; the errors are those of `thin_plate_spline`.
    """
    return float(np.linalg.cond(_system(control_points, regularisation)[1]))


def _system(control_points: ArrayLike | None, regularisation: float) -> tuple[Array, Array]:
    """The points, checked, and L (K+3, K+3)."""
    if control_points is None:
        control_points = target_grid((4, 4)).reshape(-1, 2)
    points = shaped("control_points", control_points, ("K", 2)).astype(np.float64)
    if number("regularisation", regularisation) < 0:
        raise ValueError(f"regularisation is {regularisation!r}; expected a number of at least 0")
    _require_a_plane(points)
    K = len(points)
    P = homogeneous(points)
    L = np.zeros((K + 3, K + 3))
    L[:K, :K] = _bend(_squared_distances(points, points)[0]) + regularisation * np.eye(K)
    L[:K, K:], L[K:, :K] = P, P.T
    if np.linalg.cond(L) > 1 / (K * np.finfo(float).eps):
        apart = _squared_distances(points, points)[0] + np.diag(np.full(K, np.inf))
        k, l = sorted(divmod(int(np.argmin(apart)), K))
        raise ValueError(
            f"the control points nearly coincide or nearly lie on one line, so that the system "
            f"cannot be solved; the closest are {k} and {l}, at {tuple(points[k].tolist())} and "
            f"{tuple(points[l].tolist())}"
        )
    return points, L


def _require_a_plane(points: Array) -> None:
    if len(points) < 3:
        raise ValueError(f"control_points has {len(points)} points; a spline needs at least 3")
    if not np.isfinite(points).all():
        raise ValueError("control_points has a coordinate that is not finite")
    for k, point in enumerate(points):
        same = np.flatnonzero(np.all(points[k + 1 :] == point, axis=1))
        if len(same):
            raise ValueError(
                f"control points {k} and {k + 1 + same[0]} are both at {tuple(point.tolist())}; "
                "they must differ"
            )
    rounding = 4 * len(points) * np.finfo(float).eps * np.max(np.abs(points))
    if np.linalg.svd(points - points[0], compute_uv=False)[1] <= rounding:
        raise ValueError(
            f"the control points {points.tolist()} all lie on one line; three must not"
        )


def _squared_distances(G: Array, points: Array) -> tuple[Array, Array]:
    """|p − c_k|² (…, K) and p − c_k (…, K, 2)."""
    offset = np.asarray(G, np.float64)[..., None, :] - points
    return np.sum(offset * offset, axis=-1), offset


def _bend(squared: Array) -> Array:
    """U = r² log r = ½ r² log r², 0 at r = 0."""
    return squared * np.log(np.where(squared == 0, 1, squared)) / 2


def _bend_slope(squared: Array) -> Array:
    """∇U = (log r² + 1)(p − c): its factor; at r = 0, where p − c is 0, any number will do."""
    return np.log(np.where(squared == 0, 1, squared)) + 1
