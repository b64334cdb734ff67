"""`affine_grid` as PyTorch and ONNX have it: Eq. 1 on their lattice, to the last bit of float64."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, prod

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array
from stn_ref.oracle.arguments import gradient_like, real, switch, unit_roundoff
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.twofold import Twofold, quotient, twofold

LATTICE = 4  # roundings of the lattice, which is made in several ways


def points(
    theta: ArrayLike, size: tuple[int, ...], align_corners: object = None, *, lone: float = 0.0
) -> Expected:
    """Eq. 1 on the lattice of size (N, C, H', W'): (N, H', W', 2), and how exactly.

    theta  (N, 2, 3); for a size (N, C, D', H', W') it is (N, 3, 4), and the points have z
    lone   where the only point of an aligned axis lies
    """
    given, target = _checked(theta, size, align_corners, lone)
    N, axes, _ = given.shape
    beside = (N, *[1] * axes)
    wide = given.astype(np.float64)
    rows = [
        sum((t * wide[:, row, k].reshape(beside) for k, t in enumerate(target)), twofold(0.0))
        for row in range(axes)
    ]
    grid = np.stack([row.hi for row in rows], axis=-1)
    roundings = (LATTICE + 2 * axes) * unit_roundoff(given.dtype)
    bound = (roundings * abs(wide).sum(axis=-1)).reshape(*beside, axes)
    return Expected(grid, np.broadcast_to(bound, grid.shape).copy())


def points_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: object = None,
    *,
    lone: float = 0.0,
) -> Expected:
    """The gradient of the points in theta, like it, and how exactly."""
    given, target = _checked(theta, size, align_corners, lone)
    N, axes, _ = given.shape
    dgrid = gradient_like("grad_grid", grad_grid, (N, *size[2:], axes))
    dtheta = np.zeros(given.shape)
    for k, t in enumerate(target):
        for b, row in np.ndindex(N, axes):
            terms = t * dgrid[b, ..., row]
            dtheta[b, row, k] = fsum([*terms.hi.ravel().tolist(), *terms.lo.ravel().tolist()])
    roundings = (LATTICE + 2 * axes + prod(size[2:])) * unit_roundoff(given.dtype)
    bound = roundings * abs(dgrid).sum(axis=tuple(range(1, axes + 1)))[..., None]
    return Expected(dtheta, np.broadcast_to(bound, dtheta.shape).copy())


def _checked(
    theta: ArrayLike, size: tuple[int, ...], align_corners: object, lone: float
) -> tuple[Array, list[Twofold]]:
    """θ, and x^t, y^t and 1 of every target point, (H', W')."""
    theta = real("theta", theta)
    whole = isinstance(size, Sequence | np.ndarray) and all(
        isinstance(s, int | np.integer) and s >= 0 for s in size
    )
    axes = len(size) - 2 if whole else 0
    if axes not in (2, 3) or theta.shape != (size[0], axes, axes + 1):
        raise ValueError(
            f"theta has shape {theta.shape} and size is {size!r}; "
            "expected (N, 2, 3) and (N, C, H', W'), or (N, 3, 4) and (N, C, D', H', W')"
        )
    aligned, flat = switch("align_corners", align_corners), np.zeros(size[2:])
    target = []
    for axis, length in enumerate(reversed(size[2:])):
        x, along = _axis(length, aligned, lone), (-1, *[1] * axis)
        target.append(Twofold(x.hi.reshape(along), x.lo.reshape(along)) + flat)
    return theta, [*target, twofold(flat + 1)]


def _axis(size: int, aligned: bool, lone: float) -> Twofold:
    """(2j − (S − 1)) / (S − 1), or over S where the corners are not aligned."""
    if aligned and size == 1:
        return twofold(np.full(1, lone))
    return quotient(2.0 * np.arange(size) - (size - 1), float(size - 1 if aligned else size))
