"""§3.3, between U and its taps: reading pixels for every point, and adding to them, its transpose.

What `sampler` and `hessian` share. Taps come as lists, one an axis, in the order (x, y, z).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from operator import add, mul
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.kernels import Kernel
from stn_ref.equations.padding import NOWHERE, lost


def lengths(U: Array) -> tuple[int, ...]:
    """W and H: in the order of a point's coordinates."""
    return U.shape[-2:0:-1]


def combinations(axes: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """(m, n), (k(x − m), k(y − n)), and so on, of every tap of y with every tap of x."""
    return (tuple(zip(*taps[::-1], strict=True)) for taps in product(*reversed(axes)))


def times(*factors: Array) -> Array:
    """Their product, left to right."""
    return np.asarray(reduce(mul, factors))


def product_rule(factors: Sequence[Array], dots: Sequence[Array]) -> Array:
    """How their product changes: each rate in its factor's place, summed."""
    return reduce(add, (times(*factors[:a], d, *factors[a + 1 :]) for a, d in enumerate(dots)))


def no_place(xs: Array, padding: str) -> Array:
    """Which points are no place at all, on whichever axis."""
    gone: Array = np.any([lost(x, padding) for x in xs], axis=0)
    return gone


def where_it_matters(m: Array, t: Array, kernel: Kernel, *effects: Array) -> Array:
    """m, but NOWHERE where the tap is out of the support: a NaN or ∞ there must not be read."""
    idle = np.all([effect == 0 for effect in effects], axis=0)
    return np.where(idle & (abs(t) >= kernel.support), NOWHERE, m)


def pixels(U: Array, mn: Sequence[Array], fill: float) -> Array:
    """U_nm^c for every point, (B, H', W', C): `fill` outside, 0 where there is no tap."""
    b = np.arange(len(U)).reshape(-1, *[1] * len(mn))
    least = reduce(np.minimum, mn)  # NOWHERE is below OUTSIDE, and that below every pixel
    ground = np.where(least == NOWHERE, 0, fill)
    u = U[(b, *(np.maximum(m, 0) for m in reversed(mn)))]
    return np.where((least >= 0)[..., None], u, ground[..., None])


def add_at(dU: Array, mn: Sequence[Array], amount: Array) -> None:
    """dU_nm^c += amount for every point, the adjoint of pixels."""
    at = np.nonzero(reduce(np.minimum, mn) >= 0)
    np.add.at(dU, (at[0], *(m[at] for m in reversed(mn))), amount[at])


def zeros(U: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros whose axes lie in memory in the order of U's; a broadcast axis of U counts as outer."""
    order = sorted(range(U.ndim), key=lambda axis: -abs(U.strides[axis]) or -np.inf)
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))
