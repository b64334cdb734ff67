"""Random calls to compare with other frameworks, and the count of what agreed."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

PADDING_MODES = ("zeros", "border", "reflection")
TALLIES = defaultdict(list)  # by framework; printed at the end of a run


class Call(NamedTuple):
    """images (N, C, H, W), grid (N, H', W', 2), the gradient of the output; or of other axes."""

    images: np.ndarray
    grid: np.ndarray
    grad_output: np.ndarray


def pixels(rng, size, shape):
    """Points (*shape, 2) up to three pixels outside; half of them on a pixel or halfway."""
    xy = rng.uniform(-3, np.array(size[::-1]) + 2.0, (*shape, len(size)))
    return np.where(rng.random(xy.shape) < 0.5, np.round(2 * xy) / 2, xy)


def call(rng, dtype, aligned, least=1, axes=2):
    """Small images; half of the coordinates on a pixel or halfway between two, many outside."""
    most = 9 if axes < 3 else 5
    lows, highs = (1, 1, *[least] * axes, *[1] * axes), (3, 4, *[most] * axes, *[6] * axes)
    N, C, *sizes = rng.integers(lows, highs)
    size, outputs = sizes[:axes], sizes[axes:]
    xy, sizes = pixels(rng, size, (N, *outputs)), np.array(size[::-1])
    grid = 2 * xy / np.maximum(sizes - 1, 1) - 1 if aligned else (2 * xy + 1) / sizes - 1
    U, dV = (rng.standard_normal((N, C, *s)).astype(dtype) for s in (size, outputs))
    return Call(U, grid.astype(dtype), dV)


class Tally:
    """How many cases were drawn and compared, and the worst error in units of its bound."""

    def __init__(self, framework):
        self.drawn, self.values, self.gradients, self.worst = 0, 0, 0, 0.0
        TALLIES[framework].append(self)

    def __enter__(self):
        return self

    def __exit__(self, error, *rest):
        if error is None:
            assert self.drawn and self.discarded <= 0.02 * self.drawn, "too many discarded"

    @property
    def discarded(self):
        """Cases that were drawn and not compared."""
        return self.drawn - self.values

    def draws(self, count):
        """Number the cases, each of which is to be compared."""
        for k in range(count):
            self.drawn += 1
            yield k

    def value(self, found, expected, what):
        """A case's value; AssertionError if an element is outside its bound."""
        self.values += 1
        self._compare(found, expected, what)

    def gradient(self, found, expected, what):
        """The gradients of that case."""
        self.gradients += 1
        for k, pair in enumerate(zip(found, expected, strict=True)):
            self._compare(*pair, f"{what}, gradient {k}")

    def _compare(self, found, expected, what):
        found = np.asarray(found, float)
        assert found.shape == expected.value.shape, what
        units = in_bounds(found, expected)
        self.worst = max(self.worst, units)
        assert units <= 1, f"{what}: {units:.4g} bounds off"
        finite = np.where(np.isfinite(expected.bound), expected.bound, 0.0)
        planted = found - 3 * np.copysign(finite, found - expected.value)
        assert in_bounds(planted, expected) > 1 or not np.any(finite > 0), what


def in_bounds(found, expected):
    """The largest error in units of its bound; infinite where only one of the two is NaN."""
    torn = np.isnan(found) != np.isnan(expected.value)
    off = np.where(torn, np.inf, np.nan_to_num(abs(found - expected.value)))
    units = np.where(off == 0, 0.0, off / np.where(expected.bound > 0, expected.bound, 1e-300))
    units = np.where(np.isinf(expected.bound), 0.0, units)
    return float(units.max(initial=0.0))


def summary():
    """A line for each framework."""
    for framework, tallies in sorted(TALLIES.items()):
        total = {
            name: sum(getattr(t, name) for t in tallies)
            for name in ("drawn", "discarded", "values", "gradients")
        }
        worst = max(t.worst for t in tallies)
        counts = ", ".join(f"{count} {name}" for name, count in total.items())
        yield f"{framework}: {counts}; worst {worst:.2f} of the bound"
