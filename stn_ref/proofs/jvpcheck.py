"""Forward mode held against finite differences, by the checker of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, floating, generator
from stn_ref.proofs.gradcheck import Report, check_gradients, precise


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    *inputs: ArrayLike,
    rng: np.random.Generator,
    knots: Callable[..., float] | None = None,
    tolerance: float = 1e-7,
) -> Report:
    """Hold a claimed forward mode against differences of f.

        f_jvp(ẋ, x)  =  d/ds f(x + s ẋ)  at s = 0          for random ẋ > 0

    f_jvp  f_jvp(*tangents, *inputs) → how f(*inputs) changes, in its shape

    Along a line f is a function of one number s, and f_jvp gives its gradient, which is what
    `check_gradients` gets; the other arguments, the Report and the errors are as there. Each input
    is checked alone, with zeros for the others' tangents, along a line on which all its elements
    grow: so on knots, too, the claim of a sampler, whose tie looks one way in each coordinate, must
    lie between the derivatives from the left and from the right.
    """
    generator(rng)
    xs = [precise(k, x) for k, x in enumerate(inputs)]
    lines = [
        np.asarray((np.max(np.abs(x), initial=0) or 1.0) * rng.uniform(0, 1, x.shape), x.dtype)
        for x in xs
    ]

    def along(*steps: Array) -> Any:
        return f(*(x + s[0] * line for x, s, line in zip(xs, steps, lines, strict=True)))

    def backward(dout: Array, *steps: Array) -> list[Array]:
        claims = []
        for k, line in enumerate(lines):
            tangents = [line if l == k else np.zeros_like(x) for l, x in enumerate(xs)]
            claim = floating("f_jvp's result", f_jvp(*tangents, *(x.copy() for x in xs)))
            if claim.shape != dout.shape:
                raise ValueError(f"f_jvp's result has shape {claim.shape}; expected {dout.shape}")
            claims.append(np.sum(dout * claim, keepdims=True).reshape(1))
        return claims

    def room(*args: Array) -> float:
        assert knots is not None
        return knots(*xs, *(s[0] * line for s, line in zip(args[len(xs) :], lines, strict=True)))

    steps = [np.zeros(1, x.dtype) for x in xs]
    found = room if knots else None
    return check_gradients(along, backward, *steps, rng=rng, knots=found, tolerance=tolerance)
