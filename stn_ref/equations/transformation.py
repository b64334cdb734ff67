"""§3.2, the record that every transformation T_θ is, those of the paper and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stn_ref.equations.arguments import Array


@dataclass(frozen=True)
class Transformation:
    """A pointwise transformation T_θ, differentiable in θ and in G: a record.      §3.2

    identity()                       θ of the identity, without a batch axis
    grid(theta, G)                   T_θ(G) (B, H', W', 2), in the wider dtype of θ and G
    grid_backward(dgrid, theta, G)   (dtheta, dG); dG has G's shape, so it is summed over the
                                     batch where G has no batch axis
    matrix(theta)                    (B, 3, 3), where T_θ is a matrix on (x, y, 1)
    matrix_backward(dmatrix, theta)  dtheta

    theta is (B, *identity().shape) and G is (H', W', 2) or (B, H', W', 2). A transformation with
    a matrix is sampled by the centred formula, which returns the image unchanged at the identity.
    """

    name: str
    identity: Callable[[], Array]
    grid: Callable[[Array, Array], Array]
    grid_backward: Callable[[Array, Array, Array], tuple[Array, Array]]
    matrix: Callable[[Array], Array] | None = None
    matrix_backward: Callable[[Array, Array], Array] | None = None
