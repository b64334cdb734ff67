"""Finite differences that know about knots.

A claimed gradient is contracted with a random direction and compared with a difference of f along
it. Where f has knots (an integer coordinate of a bilinear sampler), a difference across one proves
nothing, so steps are kept short of them; and on a knot the claim is held, one coordinate at a
time, against the derivatives from the left and from the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, floating, generator, number

# f′(x) h ≈ Σ_k c_k (f(x + k h) − f(x)), exact for polynomials up to degree 4
CENTRAL = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
RIGHT = {1: 4, 2: -3, 3: 4 / 3, 4: -1 / 4}
LEFT = {-k: -c for k, c in RIGHT.items()}

LARGEST_STEP, LEAST_STEP = 1e-2, 1e-7  # of the input's magnitude, and of 1
LEAST_ROOM = 1e-6  # to the nearest knot; with less, an element counts as on it
NOISE, DUST = 64, 8  # rounding in a difference of f, and in a gradient, in units of the precision


@dataclass(frozen=True)
class Row:
    """One comparison: of a whole input along a direction, or of one element on a knot."""

    input: int
    claimed: float
    measured: tuple[float, ...]  # one number, or the left and the right derivative
    error: float  # relative to the sum of the absolute terms and f's own rounding / tolerance
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


@np.errstate(all="ignore")
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
                0 on one; None says that f is smooth. `stn_ref.proofs.knots` makes them
    tolerance   the error allowed, relative to the sum of the contraction's absolute terms

    Each input is checked alone, along a direction that is at most 1 in each element, with the step
    whose difference agrees best with that of a step ten times smaller. Where the rounding of f
    hides the slope, a claim is an error, not a pass, unless it claims that there is none.

    If a knot leaves no room for a step, the input is checked element by element: off a knot by a
    central difference, on a knot (or within 10⁻⁶ of one) by requiring that the claim lies between
    the one-sided derivatives. That requirement holds for coordinates of a sampler. It does not
    hold for θ, which moves many points, some to the left and some to the right: on knots check dθ
    as Σ dxy ∂xy/∂θ.

    Returns a Report: `ok`, `str(report)`, `raise_if_wrong()`.
    Raises TypeError for inputs of lower precision, or an rng that is none; ValueError if a
    gradient is missing, misshapen, or if every one is skipped.

    >>> x, rng = np.array([0.5, 1.5]), np.random.default_rng(0)
    >>> stn_ref.check_gradients(np.sin, lambda dout, x: dout * np.cos(x), x, rng=rng).ok
    True
    >>> stn_ref.check_gradients(np.sin, lambda dout, x: dout * np.sin(x), x, rng=rng).ok
    False
    """
    generator(rng)
    if not number("tolerance", tolerance) > 0:
        raise ValueError(f"tolerance is {tolerance!r}; expected a number above 0")
    xs = [precise(k, x) for k, x in enumerate(inputs)]
    rest = floating("f's result", f(*xs))
    dout = rng.standard_normal(rest.shape)
    claims = f_backward(dout.copy(), *(x.copy() for x in xs))
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
        claim = floating(f"the gradient of input {k}", claim)
        line = _Line(f, knots, xs, k, rest, dout, claim, tolerance)
        direction = rng.uniform(-1, 1, x.shape)
        if line.room(direction) >= LEAST_ROOM:
            rows.append(line.smooth(direction))
        else:
            rows.extend(line.elements())
    if not rows:
        raise ValueError("f_backward skipped every input; nothing was checked")
    return Report(tuple(rows), tolerance)


@dataclass(frozen=True)
class _Line:
    """f on lines along which input k alone changes, and the gradient claimed for it."""

    f: Callable[..., Any]
    knots: Callable[..., float] | None
    xs: list[Array]
    k: int
    rest: Array  # f(*xs)
    dout: Array
    claim: Array
    tolerance: float

    def at(self, offset: Array) -> Array:
        moved = [x + offset if k == self.k else x for k, x in enumerate(self.xs)]
        return np.asarray(self.f(*moved))

    def room(self, direction: Array) -> float:
        """The largest step that crosses no knot."""
        if self.knots is None:
            return np.inf
        directions = [direction if k == self.k else np.zeros_like(x) for k, x in enumerate(self.xs)]
        return float(self.knots(*self.xs, *directions))

    def steps(self, room: float) -> Iterator[float]:
        """Steps to try, each a tenth of the one before.

        CENTRAL reaches two of them either way and stays in the room. LEFT and RIGHT start on a
        knot, with no room, and reach four: knots are apart by about 1 or steps over the next one
        disagree with each other and lose.
        """
        magnitude = self.magnitude() if room else 1.0
        h = LARGEST_STEP * max(magnitude, 1.0)
        h = min(h, 0.4 * room) if room else h
        least = min(h / 10, LEAST_STEP * magnitude)
        while h > 0.5 * least:
            yield h
            h /= 10

    def rounding(self) -> float:
        """Σ|dout f| in units of f's precision: what one rounding of f may do to the contraction."""
        return float(np.finfo(self.rest.dtype).eps * np.sum(np.abs(self.dout * self.rest)))

    def magnitude(self) -> float:
        """The input's largest element, in absolute value; 1 if all are 0."""
        return float(np.max(np.abs(self.xs[self.k]), initial=0.0)) or 1.0

    def slope(
        self, stencil: dict[int, float], direction: Array, room: float
    ) -> tuple[float, float, float]:
        """Σ dout ∂f/∂x d by the best step; the sum of its absolute terms; f's rounding in it."""
        rounding = NOISE * self.rounding()
        tried = []
        for h in self.steps(room):
            changes = [c * (self.at(k * h * direction) - self.rest) for k, c in stencil.items()]
            terms = self.dout * np.sum(changes, axis=0) / h
            tried.append((float(np.sum(terms)), float(np.sum(np.abs(terms))), rounding / h))
        doubts = [abs(a[0] - b[0]) + a[2] for a, b in pairwise(tried)]
        return tried[int(np.argmin(np.nan_to_num(doubts, nan=np.inf)))]

    def verdict(
        self, claimed: float, measured: tuple[float, ...], size: float, terms: float, noise: float
    ) -> tuple[float, str]:
        """The claim's error against one slope, or the two it must lie between, and a remark.

        size   Σ|claim d|: where it is nothing but f's rounding, the slope must be 0 to its noise
        terms  Σ|dout ∂f/∂x d|
        """
        if not np.isfinite([claimed, *measured]).all():
            return np.nan, "not finite"
        dust = DUST * self.rounding() / self.magnitude()
        scale = max(size, terms)
        blur = noise if size <= dust else min(noise, self.tolerance * scale)
        outside = np.max([min(measured) - claimed, claimed - max(measured), 0.0])
        error = float(outside) / (scale + (dust + blur) / self.tolerance) if outside else 0.0
        hidden = blur < noise and not error <= self.tolerance
        return error, "f's rounding hides the slope" if hidden else ""

    def smooth(self, direction: Array) -> Row:
        measured, terms, noise = self.slope(CENTRAL, direction, self.room(direction))
        parts = self.claim * direction
        claimed = float(np.sum(parts))
        size = float(np.sum(np.abs(parts)))
        error, remark = self.verdict(claimed, (measured,), size, terms, noise)
        return Row(self.k, claimed, (measured,), error, remark)

    def elements(self) -> list[Row]:
        """The worst element off the knots and the worst of each side on them."""
        worst: dict[str, Row] = {}
        size = float(np.max(np.abs(self.claim), initial=0.0, where=np.isfinite(self.claim)))
        for index in np.ndindex(self.claim.shape):
            direction = np.zeros_like(self.xs[self.k])
            direction[index] = 1
            claimed, room = float(self.claim[index]), self.room(direction)
            measured: tuple[float, ...]
            if room >= LEAST_ROOM:
                slope, terms, noise = self.slope(CENTRAL, direction, room)
                side, measured = "off the knots", (slope,)
            else:
                left, right = (self.slope(s, direction, 0.0) for s in (LEFT, RIGHT))
                terms, noise = max(left[1], right[1]), max(left[2], right[2])
                measured = (left[0], right[0])
                near = self.tolerance * max(size, terms) + noise
                side = f"on a knot: {_side(claimed, left[0], right[0], near)}"
            error, remark = self.verdict(claimed, measured, size, terms, noise)
            where = (side, f"worst at {tuple(map(int, index))}", remark)
            row = Row(self.k, claimed, measured, error, ", ".join(filter(None, where)))
            if side not in worst or _badness(row) > _badness(worst[side]):
                worst[side] = row
        return list(worst.values())


def _badness(row: Row) -> float:
    return np.inf if np.isnan(row.error) else row.error


def _side(claimed: float, left: float, right: float, near: float) -> str:
    """Which of the derivatives on a knot the claim is."""
    if abs(right - left) <= near:
        return "either side"
    sides = {"right": right, "left": left, "central": (left + right) / 2}
    found = [side for side, slope in sides.items() if abs(claimed - slope) <= near]
    between = min(left, right) <= claimed <= max(left, right)
    return (found or ["in between" if between else "outside"])[0]


def precise(k: int, value: ArrayLike) -> Array:
    """Input k, in float64 or wider."""
    x = floating(f"input {k}", value)
    if x.dtype == np.float32:
        raise TypeError(
            f"input {k} has dtype float32, too coarse for differences: cast it to np.float64"
        )
    return x
