"""Finite differences that know about knots.

A claimed gradient is contracted with a random direction and compared with a difference of f along
it. Where f has knots (an integer coordinate of a bilinear sampler), a difference across one proves
nothing, so steps are kept short of them; and on a knot the claim is held, one coordinate at a
time, against the derivatives from the left and from the right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, floating
from stn_ref.equations.kernels import BILINEAR, per_axis
from stn_ref.equations.sampler import Kernels

STEP, LEAST_STEP = 1e-3, 1e-6

# f′(x) h ≈ Σ_k c_k f(x + k h), exact for polynomials up to degree 4
CENTRAL = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
RIGHT = {0: -25 / 12, 1: 4, 2: -3, 3: 4 / 3, 4: -1 / 4}
LEFT = {-k: -c for k, c in RIGHT.items()}


@dataclass(frozen=True)
class Row:
    """One comparison: of a whole input along a direction, or of one element on a knot."""

    input: int
    claimed: float
    measured: tuple[float, ...]  # one number, or the left and the right derivative
    error: float  # relative to the sum of the absolute terms
    where: str = ""


@dataclass(frozen=True)
class Report:
    """What `check_gradients` found; `str(report)` is a table of both numbers an input."""

    rows: tuple[Row, ...]
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether every error is within the tolerance (a NaN is not)."""
        return all(row.error <= self.tolerance for row in self.rows)

    @property
    def error(self) -> float:
        """The largest error; NaN if any is."""
        return float(np.max([row.error for row in self.rows], initial=0.0))

    def raise_if_wrong(self) -> None:
        """AssertionError with the table, unless `ok`."""
        if not self.ok:
            raise AssertionError(f"the claimed gradient is wrong\n{self}")

    def __str__(self) -> str:
        lines = []
        for row in self.rows:
            measured = " … ".join(f"{m: .9e}" for m in row.measured)
            verdict = "ok" if row.error <= self.tolerance else "WRONG"
            lines.append(
                f"input {row.input}  claimed {row.claimed: .9e}  measured {measured}"
                f"  error {row.error:.1e}  {verdict}  {row.where}".rstrip()
            )
        return "\n".join(lines)


def check_gradients(
    f: Callable[..., Any],
    f_backward: Callable[..., Any],
    *inputs: ArrayLike,
    rng: np.random.Generator,
    knots: Callable[..., float] | None = None,
    tolerance: float = 1e-7,
) -> Report:
    """Hold a claimed gradient against differences of f.

        Σ dout · (∂f/∂x d)  =  Σ (∂L/∂x) · d          for random dout and d

    f           f(*inputs) → array
    f_backward  f_backward(dout, *inputs) → one gradient, or a tuple in the inputs' order;
                further ones are ignored, and None skips an input
    inputs      arrays, float64 or longdouble
    knots       knots(*inputs, *direction) → the largest step either way that crosses no knot,
                0 on one; None says that f is smooth. See `no_crossing` and `sampler_knots`
    tolerance   the error allowed, relative to the sum of the contraction's absolute terms

    Each input is checked alone, along a direction that is at most 1 in each element. If that
    leaves no room for a step, the input is checked element by element: off a knot by a central
    difference, on a knot by requiring that the claim lies between the one-sided derivatives.
    That requirement holds for coordinates of a sampler. It does not hold for θ, which moves many
    points, some to the left and some to the right: on knots check dθ as Σ dxy ∂xy/∂θ.

    Returns a Report: `ok`, `str(report)`, `raise_if_wrong()`.
    Raises TypeError for inputs of lower precision, ValueError if a gradient is missing.
    """
    xs = [_precise(k, x) for k, x in enumerate(inputs)]
    dout = rng.standard_normal(np.shape(f(*xs)))
    claims = f_backward(dout, *xs)
    claims = claims if isinstance(claims, tuple | list) else (claims,)
    if len(claims) < len(xs):
        raise ValueError(f"f_backward returned {len(claims)} gradients for {len(xs)} inputs")

    rows: list[Row] = []
    for k, (x, claim) in enumerate(zip(xs, claims, strict=False)):
        if claim is None:
            continue
        if np.shape(claim) != x.shape:
            raise ValueError(
                f"the gradient of input {k} has shape {np.shape(claim)}; expected {x.shape}"
            )
        along = _Line(f, knots, xs, k, dout, tolerance)
        direction = rng.uniform(-1, 1, x.shape)
        if (step := along.step(direction)) >= LEAST_STEP:
            rows.append(along.smooth(np.asarray(claim), direction, step))
        else:
            rows.extend(along.elements(np.asarray(claim)))
    return Report(tuple(rows), tolerance)


@dataclass(frozen=True)
class _Line:
    """f on lines through the inputs along which input k alone changes, contracted with dout."""

    f: Callable[..., Any]
    knots: Callable[..., float] | None
    xs: list[Array]
    k: int
    dout: Array
    tolerance: float

    def at(self, offset: Array) -> Array:
        moved = [x + offset if k == self.k else x for k, x in enumerate(self.xs)]
        return np.asarray(self.f(*moved))

    def step(self, direction: Array) -> float:
        """A step h for CENTRAL, which reaches 2h; below LEAST_STEP where a knot is too near."""
        if self.knots is None:
            return STEP
        directions = [direction if k == self.k else np.zeros_like(x) for k, x in enumerate(self.xs)]
        return min(STEP, 0.4 * float(self.knots(*self.xs, *directions)))

    def slope(self, stencil: dict[int, float], direction: Array, h: float) -> tuple[float, float]:
        """Σ dout ∂f/∂x d, and the sum of its absolute terms with the rounding noise of f."""
        middle = self.at(0 * direction)
        changes = [c * (self.at(k * h * direction) - middle) for k, c in stencil.items()]
        terms = self.dout * np.sum(changes, axis=0) / h
        moved = np.any([change != 0 for change in changes], axis=0)
        noise = 64 * np.finfo(middle.dtype).eps * np.sum(np.abs(self.dout * middle) * moved) / h
        return float(np.sum(terms)), float(np.sum(np.abs(terms)) + noise / self.tolerance)

    def smooth(self, claim: Array, direction: Array, step: float, where: str = "") -> Row:
        measured, scale = self.slope(CENTRAL, direction, step)
        claimed = float(np.sum(claim * direction))
        scale = max(scale, float(np.sum(np.abs(claim * direction))))
        return Row(self.k, claimed, (measured,), _ratio(abs(claimed - measured), scale), where)

    def elements(self, claim: Array) -> list[Row]:
        """The worst element off the knots and the worst of each side on them."""
        worst: dict[str, Row] = {}
        for index in np.ndindex(claim.shape):
            direction = np.zeros_like(self.xs[self.k])
            direction[index] = 1
            if (step := self.step(direction)) >= LEAST_STEP:
                side, row = "off the knots", self.smooth(claim, direction, step)
            else:
                side, row = self.on_a_knot(float(claim[index]), direction)
            row = Row(self.k, row.claimed, row.measured, row.error, f"{side}, worst at {index}")
            if side not in worst or not row.error <= worst[side].error:
                worst[side] = row
        return list(worst.values())

    def on_a_knot(self, claimed: float, direction: Array) -> tuple[str, Row]:
        left, scale_left = self.slope(LEFT, direction, STEP / 4)
        right, scale_right = self.slope(RIGHT, direction, STEP / 4)
        scale = max(scale_left, scale_right, abs(claimed))
        outside = max(min(left, right) - claimed, claimed - max(left, right), 0.0)
        error = np.nan if np.isnan(claimed) else _ratio(outside, scale)
        sides = {"right": right, "left": left, "central": (left + right) / 2}
        if abs(right - left) <= self.tolerance * scale:
            side = "either side"
        else:
            near = [s for s, d in sides.items() if abs(claimed - d) <= self.tolerance * scale]
            side = (near or ["in between" if outside == 0 else "outside"])[0]
        return f"on a knot: {side}", Row(self.k, claimed, (left, right), error)


def no_crossing(pieces: Callable[..., Array]) -> Callable[..., float]:
    """`knots` for check_gradients, from a function that numbers the smooth piece f is on.

    pieces(*inputs) → integers that change when a knot is crossed, such as ⌊x⌋
    The step found is 2⁻ᵏ, 0 once it would be below 2⁻³⁰.
    """

    def knots(*args: Array) -> float:
        inputs, direction = args[: len(args) // 2], args[len(args) // 2 :]
        here = pieces(*inputs)
        step = 1.0
        while step > 2.0**-30:
            lines = list(zip(inputs, direction, strict=True))
            ends = [pieces(*(x + s * d for x, d in lines)) for s in (-step, step)]
            if all(np.array_equal(end, here) for end in ends):
                return step
            step /= 2
        return 0.0

    return knots


def sampler_pieces(xy: Array, kernel: Kernels = BILINEAR) -> Array:
    """Which smooth piece of Eq. 3 each coordinate is on: knots are where x − m is 0 or ±support."""
    shifts = [(0, k.support, -k.support) for k in per_axis(kernel)]
    floors = ([np.floor(xy[..., a] + s) for s in shifts[a]] for a in range(2))
    return np.stack(list(chain.from_iterable(floors)))


def sampler_knots(kernel: Kernels = BILINEAR) -> Callable[..., float]:
    """`knots` of f(U, xy) = sample(U, xy, kernel=kernel)."""
    return no_crossing(lambda U, xy: sampler_pieces(xy, kernel))


def _precise(k: int, value: ArrayLike) -> Array:
    x = floating(f"input {k}", value)
    if x.dtype == np.float32:
        raise TypeError(
            f"input {k} has dtype float32, too coarse for differences: cast it to np.float64"
        )
    return x


def _ratio(error: float, scale: float) -> float:
    return error / scale if error else 0.0
