"""§3.3, between U and its taps: reading a pixel for each point, and adding to it, the transpose."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from stn_ref.equations.arguments import Array
from stn_ref.equations.padding import OUTSIDE
from stn_ref.equations.taps import ABSENT, Tap


def pixels(U: Array, l: Tap, n: Tap, m: Tap, fill: float) -> Array:
    """U_nm^c, of a volume U_lnm^c, for every point, (B, H', W', C); `fill` if a tap is outside."""
    at = [tap.pixel for tap in (l, n, m) if tap is not ABSENT]
    b = np.arange(len(U)).reshape(-1, *[1] * len(at))
    u = U[(b, *at)].astype(np.result_type(U, np.float64), copy=False)
    u[reduce(np.minimum, at) == OUTSIDE] = fill
    return u


def add_at(dU: Array, l: Tap, n: Tap, m: Tap, amount: Array) -> None:
    """dU_nm^c += amount for every point, the transpose of `pixels`."""
    at = [tap.pixel for tap in (l, n, m) if tap is not ABSENT]
    inside = np.nonzero(reduce(np.minimum, at) != OUTSIDE)
    np.add.at(dU, (inside[0], *(pixel[inside] for pixel in at)), amount[inside])


def zeros(U: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros whose axes lie in memory in the order of U's; a broadcast axis of U counts as outer."""
    order = sorted(range(U.ndim), key=lambda axis: -abs(U.strides[axis]) or -np.inf)
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))
