"""§3.2, the record that every transformation T_θ is, those of the paper and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import (
    FEW,
    KINDS,
    SIDES,
    Array,
    checked_transformation,
    one_axis_less,
)
from stn_ref.equations.lattice import target_grid
from stn_ref.equations.quiet import quiet
from stn_ref.equations.records import Record

GridJvp = Callable[[Array, Array, Array, Array], Array]


@dataclass(frozen=True, repr=False)
class Transformation(Record):
    """A pointwise transformation T_θ, differentiable in θ and in G: a record.      §3.2

    identity()                       θ of the identity, without a batch axis
    grid(theta, G)                   T_θ(G) (B, H', W', 2), in the wider dtype of θ and G
    grid_backward(dgrid, theta, G)   (dtheta, dG); dG has G's shape, so it is summed over the
                                     batch where G has no batch axis
    matrix(theta)                    (B, 3, 3), where T_θ is a matrix on (x, y, 1)
    matrix_backward(dmatrix, theta)  dtheta
    grid_jvp(theta_dot, G_dot, theta, G)
                                     how T_θ(G) changes along (θ̇, Ġ), in T_θ(G)'s shape and dtype;
                                     optional, forward mode alone asks for it

    theta is (B, *identity().shape) and G is (H', W', 2) or (B, H', W', 2); of signals (…, W', 1),
    of volumes (…, D', H', W', 3), and a matrix is one on (x, 1) or (x, y, z, 1). A transformation
    with both matrix functions is sampled by a formula that hits whole pixels exactly at the
    identity.
    """

    name: str
    identity: Callable[[], Array]
    grid: Callable[[Array, Array], Array]
    grid_backward: Callable[[Array, Array, Array], tuple[Array, Array]]
    matrix: Callable[[Array], Array] | None = None
    matrix_backward: Callable[[Array, Array], Array] | None = None
    grid_jvp: GridJvp | None = None

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """How many axes it warps; one of a user's may take several numbers."""
        return axes_of(self)


def has_matrix(transformation: object) -> bool:
    """Whether it is a matrix on (x, y, 1), there and back; a user's record may lack the fields."""
    both = (getattr(transformation, name, None) for name in ("matrix", "matrix_backward"))
    return all(function is not None for function in both)


def forward_mode(transformation: Transformation) -> GridJvp:
    """Its grid_jvp, or a ValueError if it has none; a user's record may lack the field."""
    grid_jvp: GridJvp | None = getattr(checked_transformation(transformation), "grid_jvp", None)
    if grid_jvp is None:
        raise ValueError(
            f"transformation {transformation.name} has no grid_jvp; forward mode needs this "
            "function of its record, grid_jvp(theta_dot, G_dot, theta, G) → grid_dot"
        )
    return grid_jvp


def named(name: str, axes: int) -> str:
    """The name, plain on the paper's two axes."""
    return name if axes == 2 else f"{name} {axes}-D"


def size_of_matrix(transformation: Transformation) -> int:
    """One more than it has axes."""
    assert transformation.matrix is not None
    return int(np.shape(transformation.matrix(np.array([transformation.identity()], float)))[-1])


@quiet
def axes_of(transformation: Transformation) -> tuple[int, ...]:
    """How many axes a transformation warps, by its matrix or by which lattices it can send."""
    if has_matrix(transformation) and 1 <= (n := size_of_matrix(transformation) - 1) <= 3:
        return (n,)
    return tuple(n for n in (1, 2, 3) if _warps(transformation, n)) or (1, 2, 3)


def _warps(transformation: Transformation, axes: int) -> bool:
    """Whether it sends points of so many coordinates to such points."""
    G = target_grid((2,) * axes)
    try:
        grid = transformation.grid(transformation.identity()[None], G)
    except Exception:  # a user's may stumble over anything
        return False
    return np.shape(grid) == (1, *G.shape)


def require_its_axes(U: Array, theta: ArrayLike, transformation: Transformation) -> None:
    """A ValueError if U is of another number of axes than the transformation warps.

    A map that lacks an axis looks like a signal; one with θ's batch and few channels is taken for
    one. A user's record that is no `Transformation` is not asked.
    """
    given = U.ndim - 2
    if not isinstance(transformation, Transformation) or given in transformation.axes:
        return
    axes = transformation.axes[-1]
    is_a_signal = np.shape(theta)[:1] == U.shape[:1] and U.shape[-1] <= FEW
    if axes == given + 1 and not is_a_signal:
        shape = ", ".join(("B", *SIDES[-axes:], "C"))
        raise ValueError(
            f"U has shape {U.shape}; {transformation} warps {KINDS[axes]}s, ({shape}): "
            f"{one_axis_less(U)}"
        )
    raise ValueError(
        f"U has shape {U.shape}, a {KINDS[given]}; {transformation} is for {KINDS[axes]}s: "
        f"use affine({given}) or another for {KINDS[given]}s"
    )
