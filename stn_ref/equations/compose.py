"""§3.2, one transformation after another, without sampling in between."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    Array,
    checked_transformation,
    shaped,
    tangents,
    theta_and_lattice,
)
from stn_ref.equations.quiet import quiet
from stn_ref.equations.transformation import (
    Transformation,
    forward_mode,
    has_matrix,
    size_of_matrix,
)


def compose(outer: Transformation, inner: Transformation) -> Transformation:
    """The transformation that maps target points by inner and the result by outer.

        T_θ(G) = outer_θ′(inner_θ″(G)),   θ = (θ′, θ″)                         §3.2

    θ is (B, n), flat: outer's parameters first, each in row-major order. Of two transformations
    with matrices the composition has their product.
    Raises TypeError if either is no transformation, ValueError if they have matrices of different
    sizes.
    """
    shapes = [np.shape(checked_transformation(t).identity()) for t in (outer, inner)]
    split, total = prod(shapes[0]), prod(shapes[0]) + prod(shapes[1])
    both = has_matrix(outer) and has_matrix(inner)
    if both and size_of_matrix(outer) != size_of_matrix(inner):
        raise ValueError(f"{outer.name} and {inner.name} are of different numbers of axes")

    def parts(theta: Array) -> tuple[Array, Array]:
        first, second = theta[:, :split], theta[:, split:]
        return first.reshape(len(theta), *shapes[0]), second.reshape(len(theta), *shapes[1])

    def joined(first: Array, second: Array) -> Array:
        flat = first.reshape(len(first), split), second.reshape(len(second), total - split)
        return np.concatenate(flat, axis=1)

    def identity() -> Array:
        return np.concatenate([np.ravel(t.identity()) for t in (outer, inner)])

    def grid(theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, (total,), None)
        first, second = parts(theta)
        return outer.grid(first, inner.grid(second, G))

    def grid_backward(dgrid: Array, theta: ArrayLike, G: ArrayLike) -> tuple[Array, Array]:
        theta, G = theta_and_lattice(theta, G, (total,), None)
        first, second = parts(theta)
        dfirst, dmiddle = outer.grid_backward(dgrid, first, inner.grid(second, G))
        dsecond, dG = inner.grid_backward(dmiddle, second, G)
        return joined(dfirst, dsecond), dG

    def grid_jvp(theta_dot: ArrayLike, G_dot: ArrayLike, theta: ArrayLike, G: ArrayLike) -> Array:
        theta, G = theta_and_lattice(theta, G, (total,), None)
        theta_dot, G_dot = tangents(theta_dot, G_dot, theta, G)
        (first, second), (first_dot, second_dot) = parts(theta), parts(theta_dot)
        middle_dot = forward_mode(inner)(second_dot, G_dot, second, G)
        return forward_mode(outer)(first_dot, middle_dot, first, inner.grid(second, G))

    @quiet
    def matrix(theta: ArrayLike) -> Array:
        assert outer.matrix and inner.matrix
        first, second = parts(shaped("theta", theta, ("B", total)))
        return outer.matrix(first) @ inner.matrix(second)

    @quiet
    def matrix_backward(dmatrix: Array, theta: ArrayLike) -> Array:
        assert outer.matrix and inner.matrix and outer.matrix_backward and inner.matrix_backward
        first, second = parts(shaped("theta", theta, ("B", total)))
        dfirst = dmatrix @ inner.matrix(second).swapaxes(1, 2)
        dsecond = outer.matrix(first).swapaxes(1, 2) @ dmatrix
        return joined(outer.matrix_backward(dfirst, first), inner.matrix_backward(dsecond, second))

    name = f"{outer.name} after {inner.name}"
    T = Transformation(name, identity, grid, grid_backward, grid_jvp=grid_jvp)
    if both:
        T = replace(T, matrix=matrix, matrix_backward=matrix_backward)
    return T.made_by(compose, outer, inner)
