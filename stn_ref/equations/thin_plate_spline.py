"""§3.2, thin plate splines: bend a metal sheet as little as the control points allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, number, shaped
from stn_ref.equations.lattice import homogeneous, target_grid
from stn_ref.equations.linear import Linear, linear
from stn_ref.equations.transformation import named


def thin_plate_spline(
    control_points: ArrayLike | None = None, *, regularisation: float = 0.0
) -> Linear:
    """The map that takes each control point c_k to θ_k and bends least in between.

        T_θ(p) = Σ_k w_k U(|p − c_k|) + a_0 + a_x x + a_y y,   U(r) = r² log r    §3.2

    U(r) is the paper's radial function here, not the feature map, and L a system, not the loss.
    With L = [K + λI, P; P^T, 0], K_kl = U(|c_k − c_l|) and P = (x, y, 1), the coefficients are
    L⁻¹ (θ; 0). So T_θ(p) = B(p) θ with B(p) = (U(|p − c_1|), …, x, y, 1) L⁻¹[:, :K], solved here
    once, in float64. The paper gives neither the form of θ nor λ; positions and λ are ours.

    On volumes P = (x, y, z, 1) and U(r) = −r, with the sign that makes K + λI positive definite
    where it matters, and so L invertible for every λ; at a control point itself, where U has no
    slope, the one taken is 0.

    control_points  (K, 2)  c_k, normalised; the 4 × 4 lattice on [−1, 1]² if None; on volumes
                    (K, 3)
    regularisation  λ ≥ 0; above 0 the points are approached, not met, and affine maps are still
                    reproduced
    θ is (B, K, 2), or (B, K, 3), the source positions of the control points.
    `spline_condition` reports how well the system is conditioned.
    Raises ValueError for fewer than three points (four on volumes), for points that coincide or lie
    on one line (in one plane), or so nearly that no digit would be left, and for λ < 0.
    """
    points, L = _system(control_points, regularisation)
    K, n = points.shape
    bend = BENDS[n]
    coefficients = np.linalg.solve(L, np.eye(K + n + 1, K))

    def basis(G: Array) -> Array:
        bends = bend.U(_squared_distances(G, points)[0])
        return np.concatenate([bends, homogeneous(G)], axis=-1) @ coefficients

    def basis_backward(dB: Array, G: Array) -> Array:
        d = dB @ coefficients.T
        squared, offset = _squared_distances(G, points)
        slope = d[..., :K] * bend.slope(squared)
        return np.sum(slope[..., None] * offset, axis=-2) + d[..., K : K + n]

    def basis_jvp(G_dot: Array, G: Array) -> Array:
        squared, offset = _squared_distances(G, points)
        bends_dot = bend.slope(squared) * np.sum(offset * G_dot[..., None, :], axis=-1)
        return np.concatenate([bends_dot, G_dot], axis=-1) @ coefficients[:-1]

    name, options = named("thin plate spline", n), {"regularisation": float(regularisation)}
    T = linear(basis, basis_backward, points, name=name, basis_jvp=basis_jvp)
    return T.made_by(thin_plate_spline, control_points=points, **options)


def spline_condition(
    control_points: ArrayLike | None = None, *, regularisation: float = 0.0
) -> float:
    """The condition number of L: θ's relative error may come out this many times larger.

    164 for the default points; the errors are those of `thin_plate_spline`.
    """
    return float(np.linalg.cond(_system(control_points, regularisation)[1]))


def _system(control_points: ArrayLike | None, regularisation: float) -> tuple[Array, Array]:
    """The points, checked, and L (K+3, K+3), on volumes (K+4, K+4)."""
    if control_points is None:
        control_points = target_grid((4, 4)).reshape(-1, 2)
    axes = 3 if np.shape(control_points)[1:] == (3,) else 2
    points = shaped("control_points", control_points, ("K", axes)).astype(np.float64)
    if number("regularisation", regularisation) < 0:
        raise ValueError(f"regularisation is {regularisation!r}; expected a number of at least 0")
    _require_a_simplex(points)
    K = len(points)
    P = homogeneous(points)
    L = np.zeros((K + axes + 1, K + axes + 1))
    L[:K, :K] = BENDS[axes].U(_squared_distances(points, points)[0]) + regularisation * np.eye(K)
    L[:K, K:], L[K:, :K] = P, P.T
    if np.linalg.cond(L) > 1 / (K * np.finfo(float).eps):
        apart = _squared_distances(points, points)[0] + np.diag(np.full(K, np.inf))
        k, l = sorted(divmod(int(np.argmin(apart)), K))
        raise ValueError(
            f"the control points nearly coincide or nearly lie {FLAT[axes]}, so that the system "
            f"cannot be solved; the closest are {k} and {l}, at {tuple(points[k].tolist())} and "
            f"{tuple(points[l].tolist())}"
        )
    return points, L


def _require_a_simplex(points: Array) -> None:
    """A triangle among the points, or a tetrahedron: what an affine map is given by."""
    count, axes = points.shape
    if count < axes + 1:
        raise ValueError(f"control_points has {count} points; a spline needs at least {axes + 1}")
    if not np.isfinite(points).all():
        raise ValueError("control_points has a coordinate that is not finite")
    for k, point in enumerate(points):
        same = np.flatnonzero(np.all(points[k + 1 :] == point, axis=1))
        if len(same):
            raise ValueError(
                f"control points {k} and {k + 1 + same[0]} are both at {tuple(point.tolist())}; "
                "they must differ"
            )
    rounding = 4 * count * np.finfo(float).eps * np.max(np.abs(points))
    if np.linalg.svd(points - points[0], compute_uv=False)[-1] <= rounding:
        raise ValueError(
            f"the control points {points.tolist()} all lie {FLAT[axes]}; {axes + 1} must not"
        )


def _squared_distances(G: Array, points: Array) -> tuple[Array, Array]:
    """|p − c_k|² (…, K) and p − c_k (…, K, 2), on volumes (…, K, 3)."""
    offset = np.asarray(G, np.float64)[..., None, :] - points
    return np.sum(offset * offset, axis=-1), offset


def _positive(squared: Array) -> Array:
    """r², with 1 for 0."""
    return np.where(squared == 0, 1, squared)


class Bend(NamedTuple):
    """What bends least in so many dimensions, as functions of r²."""

    U: Callable[[Array], Array]
    slope: Callable[[Array], Array]  # s in ∇U = s (p − c); at r = 0, where p − c is 0, any number


BENDS = {  # r² log r = ½ r² log r², and −r
    2: Bend(lambda r2: r2 * np.log(_positive(r2)) / 2, lambda r2: np.log(_positive(r2)) + 1),
    3: Bend(lambda r2: -np.sqrt(r2), lambda r2: -1 / np.sqrt(_positive(r2))),
}
FLAT = {2: "on one line", 3: "in one plane"}
