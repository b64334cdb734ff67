"""`affine_grid` as PyTorch and ONNX have it: Eq. 1 on their lattice, to the last bit of float64."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array
from stn_ref.oracle.arguments import gradient_like, real, switch, unit_roundoff
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.twofold import Twofold, quotient, twofold

ROUNDINGS = 8  # of the lattice, which is made in several ways, and of a sum of three terms


def points(
    theta: ArrayLike, size: tuple[int, ...], align_corners: object = None, *, lone: float = 0.0
) -> Expected:
    """Eq. 1 on the lattice of size (N, C, H', W'): (N, H', W', 2), and how exactly.

    lone  where the only point of an aligned axis lies
    """
    given, target = _checked(theta, size, align_corners, lone)
    rows = [
        sum((t * row[..., k, None, None] for k, t in enumerate(target)), twofold(0.0))
        for row in given.astype(np.float64).swapaxes(0, 1)
    ]
    grid = np.stack([row.hi for row in rows], axis=-1)
    bound = ROUNDINGS * unit_roundoff(given.dtype) * abs(given).sum(axis=-1, dtype=np.float64)
    return Expected(grid, np.broadcast_to(bound[:, None, None], grid.shape).copy())


def points_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: object = None,
    *,
    lone: float = 0.0,
) -> Expected:
    """The gradient of the points in theta, (N, 2, 3), and how exactly."""
    given, target = _checked(theta, size, align_corners, lone)
    N, _, height, width = size
    dgrid = gradient_like("grad_grid", grad_grid, (N, height, width, 2))
    dtheta = np.zeros(given.shape)
    for k, t in enumerate(target):
        for b, row in np.ndindex(N, 2):
            terms = t * dgrid[b, ..., row]
            dtheta[b, row, k] = fsum([*terms.hi.ravel().tolist(), *terms.lo.ravel().tolist()])
    roundings = (ROUNDINGS + height * width) * unit_roundoff(given.dtype)
    bound = roundings * abs(dgrid).sum(axis=(1, 2))[..., None]
    return Expected(dtheta, np.broadcast_to(bound, dtheta.shape).copy())


def _checked(
    theta: ArrayLike, size: tuple[int, ...], align_corners: object, lone: float
) -> tuple[Array, tuple[Twofold, Twofold, Twofold]]:
    """θ, and x^t, y^t and 1 of every target point, (H', W')."""
    theta = real("theta", theta)
    whole = isinstance(size, Sequence | np.ndarray) and all(
        isinstance(s, int | np.integer) and s >= 0 for s in size
    )
    if not whole or len(size) != 4 or theta.shape != (size[0], 2, 3):
        raise ValueError(
            f"theta has shape {theta.shape} and size is {size!r}; "
            "expected (N, 2, 3) and (N, C, H', W')"
        )
    aligned = switch("align_corners", align_corners)
    x, y = (_axis(length, aligned, lone) for length in (size[3], size[2]))
    flat = np.zeros((size[2], size[3]))
    return theta, (x + flat, Twofold(y.hi[:, None], y.lo[:, None]) + flat, twofold(flat + 1))


def _axis(size: int, aligned: bool, lone: float) -> Twofold:
    """(2j − (S − 1)) / (S − 1), or over S where the corners are not aligned."""
    if aligned and size == 1:
        return twofold(np.full(1, lone))
    return quotient(2.0 * np.arange(size) - (size - 1), float(size - 1 if aligned else size))
