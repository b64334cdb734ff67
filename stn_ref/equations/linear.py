"""§3.2, T_θ(G) = M_θ B: any transformation that is linear in θ, with B given or learnt.

B is the basis, except at the head of a shape, (B, …), where it is the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, shaped, sides, tangents, theta_and_lattice
from stn_ref.equations.lattice import per_image, sum_of_outer_products, summed_like
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import Transformation


@dataclass(frozen=True, kw_only=True, repr=False)
class Linear(Transformation):
    """A Transformation with its basis: B(G) (…, K), and dB for who learns B too."""

    basis: Callable[[Array], Array]
    basis_gradient: Callable[[Array, Array], Array]


def linear(
    basis: Callable[[Array], Array],
    basis_backward: Callable[[Array, Array], Array],
    identity: ArrayLike,
    *,
    name: str = "linear",
    basis_jvp: Callable[[Array, Array], Array] | None = None,
) -> Linear:
    """The transformation of a basis.

        T_θ(G) = M_θ B(G),   M_θ = θ^T                                        §3.2

    basis           basis(G) → B (…, K) for G (…, 2), of n axes (…, n)
    basis_backward  basis_backward(dB, G) → dG
    identity        (K, 2)  θ of the identity: often where the basis is anchored, such as
                            control points or vertices; (K, n) for n axes
    basis_jvp       basis_jvp(G_dot, G) → B_dot (…, K), for forward mode
    θ is (B, K, 2), or (B, K, n). Returns a Transformation that also has `basis` and
    `basis_gradient(dgrid, theta)` → dB = dgrid M_θ, (B, H', W', K).
    Raises TypeError or ValueError for an identity of a wrong shape or dtype.
    """
    n = np.shape(identity)[-1] if np.shape(identity)[1:] in ((1,), (3,)) else 2
    start = shaped("identity", identity, ("K", n)).astype(np.float64)

    @quiet
    def checked_basis(G: Array) -> Array:
        return shaped("basis(G)", basis(G), (*G.shape[:-1], len(start)))

    @quiet
    def grid(theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, start.shape, n)
        points = checked_basis(G) @ per_image(theta, n)
        return points.astype(np.result_type(theta, G), copy=False)

    @quiet
    def grid_backward(dgrid: ArrayLike, theta: ArrayLike, G: ArrayLike) -> tuple[Array, Array]:
        theta, G = theta_and_lattice(theta, G, start.shape, n)
        dgrid = shaped("dgrid", dgrid, (len(theta), *G.shape[-1 - n :]))
        B = np.broadcast_to(checked_basis(G), (*dgrid.shape[:-1], len(start)))
        dtheta = sum_of_outer_products(B, dgrid)
        dB = basis_gradient(dgrid, theta)
        dB = summed_like(dB, G)
        dG = shaped("basis_backward(dB, G)", basis_backward(dB, G), G.shape)
        return dtheta.astype(theta.dtype, copy=False), dG.astype(G.dtype, copy=False)

    @quiet
    def grid_jvp(theta_dot: ArrayLike, G_dot: ArrayLike, theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, start.shape, n)
        theta_dot, G_dot = tangents(theta_dot, G_dot, theta, G)
        if basis_jvp is None:
            raise ValueError(f"{name} has no basis_jvp(G_dot, G) → B_dot; forward mode needs it")
        B = checked_basis(G)
        B_dot = shaped("basis_jvp(G_dot, G)", basis_jvp(G_dot, G), B.shape)
        grid_dot = B_dot @ per_image(theta, n) + B @ per_image(theta_dot, n)
        return np.asarray(grid_dot, np.result_type(theta_dot, G_dot))

    def basis_gradient(dgrid: ArrayLike, theta: ArrayLike) -> Array:
        theta = shaped("theta", theta, ("B", *start.shape))
        dgrid = shaped("dgrid", dgrid, (len(theta), *sides(n), n))
        return dgrid @ per_image(theta.swapaxes(1, 2), n)

    T = Linear(
        name,
        start.copy,
        grid,
        grid_backward,
        grid_jvp=grid_jvp,
        basis=checked_basis,
        basis_gradient=basis_gradient,
    )
    given = {"basis": basis, "basis_backward": basis_backward, "basis_jvp": basis_jvp}
    return T.made_by(linear, **given, identity=start, name=name)
