"""Where a function has knots: the `knots` argument of `check_gradients`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stn_ref.equations.arguments import Array, per_axis
from stn_ref.equations.kernels import BILINEAR
from stn_ref.equations.sampler import Kernels


def no_crossing(pieces: Callable[..., Array]) -> Callable[..., float]:
    """`knots` for check_gradients, from a function that numbers the smooth piece f is on.

    pieces(*inputs) → integers that change when a knot is crossed, such as ⌊x⌋; a line may not
                      leave a piece and come back to it within a step
    The step found is 2⁻ᵏ, at most 1, and 0 once it would be below 2⁻³⁰.
    """

    def knots(*args: Array) -> float:
        inputs, direction = args[: len(args) // 2], args[len(args) // 2 :]
        lines = list(zip(inputs, direction, strict=True))
        here = pieces(*inputs)
        step = 1.0
        while step > 2.0**-30:
            ends = [pieces(*(x + s * d for x, d in lines)) for s in (-step, step)]
            if all(np.array_equal(end, here) for end in ends):
                return step
            step /= 2
        return 0.0

    return knots


def sampler_pieces(xy: Array, kernel: Kernels = BILINEAR) -> Array:
    """Which smooth piece of Eq. 3 each coordinate is on: knots are where x − m is 0 or ±support."""
    supports = [k.support for k in per_axis(kernel, xy.shape[-1])]
    return np.stack([np.floor(xy + np.multiply(sign, supports)) for sign in (-1, 0, 1)])


def sampler_knots(kernel: Kernels = BILINEAR) -> Callable[..., float]:
    """`knots` of f(U, xy) = sample(U, xy, kernel=kernel)."""
    return no_crossing(lambda U, xy: sampler_pieces(xy, kernel))
