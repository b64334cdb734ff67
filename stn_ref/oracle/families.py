"""Families of cases, each aimed at one kind of trouble; drawn from a generator, mostly small.

They are in our terms, feature maps and pixels; a dialect's `arrange` puts them into its own. Sizes
are (D, H, W), of which a map has the last two and a signal the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array, Size

Family = Callable[[np.random.Generator, int], "Iterator[Case]"]  # of so many axes


# of the output: of most small cases, and of those with some strange rows
OUT: dict[int, Size] = {1: (8,), 2: (4, 5), 3: (2, 2, 5)}
ROWS: dict[int, Size] = {1: (9,), 2: (3, 6), 3: (3, 2, 3)}


class Case(NamedTuple):
    """U (B, H, W, C) and xy (B, H', W', 2) in pixels, float64; of other axes alike."""

    U: Array
    xy: Array


def _images(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def _points(rng: np.random.Generator, size: Size, shape: tuple[int, ...]) -> Array:
    """Pixels anywhere, up to two outside, (*shape, 2)."""
    return rng.uniform(-2, np.array(size[::-1]) + 1.0, (*shape, len(size)))


def _at(place: Callable[[np.random.Generator, Array, Size], Array]) -> Family:
    """A family of small images whose points are moved to special places."""

    def family(rng: np.random.Generator, axes: int) -> Iterator[Case]:
        for B, sides, C in ((1, (2, 3, 4), 1), (2, (3, 5, 6), 3), (1, (4, 7, 2), 2)):
            size = sides[-axes:]
            xy = place(rng, _points(rng, size, (B, *OUT[axes])), size)
            yield Case(_images(rng, (B, *size, C)), xy)

    return family


def _edges(rng: np.random.Generator, p: Array, size: Size) -> Array:
    """Within half a pixel of where an image begins and ends, and just beside."""
    sizes = np.array(size[::-1], np.float64)
    ends = rng.choice([-1.0, -0.5, 0.0], p.shape)
    ends = np.where(rng.random(p.shape) < 0.5, ends, sizes - 1 - ends)
    beside: Array = rng.choice([-1e-6, 0.0, 1e-6], p.shape)
    return ends + beside


def _many(rng: np.random.Generator, axes: int) -> Iterator[Case]:
    """More images, channels and points than fit into one vector, one block or one chunk."""
    for B, sides, C, out in ((3, (2, 9, 10), 5, (1, 17, 40)), (1, (3, 12, 70), 8, (1, 2, 1037))):
        size = sides[-axes:]
        yield Case(_images(rng, (B, *size, C)), _points(rng, size, (B, *out[-axes:])))


def _thin(rng: np.random.Generator, axes: int) -> Iterator[Case]:
    """Axes of one pixel."""
    for sides in ((1, 1, 1), (3, 1, 5), (1, 4, 1)):
        size, out = sides[-axes:], (2, 3, 3)[-axes:]
        yield Case(_images(rng, (2, *size, 2)), _points(rng, size, (2, *out)))


LARGE: dict[int, tuple[Size, ...]] = {
    1: ((36200,), (65600,)),
    2: ((200, 181), (2, 32800)),
    3: ((5, 40, 181), (2, 2, 16400)),
}


def _large(rng: np.random.Generator, axes: int) -> Iterator[Case]:
    """Just over 2¹⁵ and 2¹⁶ pixels: an offset of 16 bits is too short."""
    for size in LARGE[axes]:
        out = (2, 6, 8)[-axes:]
        xy = _points(rng, size, (2, *out))
        far, last = xy[..., ::2, :], np.array(size[::-1]) - 1
        far[...] = last - rng.uniform(0, np.minimum(last, 30), far.shape)  # its far end
        # two images, so that what lies 2¹⁶ before a pixel of the second is a pixel too
        pixels = prod(size)
        yield Case(ramp(-pixels, pixels, pixels).reshape(2, *size, 1), xy)


def ramp(start: int, stop: int, length: int) -> Array:
    """Values that one line of code makes again; a wrong place shows, one beside it does not."""
    values: Array = np.arange(start, stop) / length
    return values


def _empty(rng: np.random.Generator, axes: int) -> Iterator[Case]:
    """No output, no image, no channel."""
    for B, C, count in ((2, 2, 0), (0, 2, 3), (2, 0, 3)):
        size, out = (3, 4, 5)[-axes:], (count, 3, 2)[:axes]
        yield Case(_images(rng, (B, *size, C)), np.ones((B, *out, axes)))


def _strange(values: tuple[float, ...]) -> Family:
    """Among ordinary points, some with a coordinate of these."""

    def family(rng: np.random.Generator, axes: int) -> Iterator[Case]:
        size, out = (3, 4, 5)[-axes:], ROWS[axes]
        for strange in (*((axis,) for axis in range(axes)), range(axes)):
            xy = _points(rng, size, (2, *out))
            for axis in strange:
                some = xy[:, ::2, ..., axis]
                some[...] = rng.choice(values, some.shape)
            yield Case(_images(rng, (2, *size, 2)), xy)

    return family


FAMILIES: dict[str, Family] = {
    "random": _at(lambda rng, p, size: p),
    "knots": _at(lambda rng, p, size: np.round(p)),
    "half-integers": _at(lambda rng, p, size: np.floor(p) + 0.5),
    "edges": _at(_edges),
    "many": _many,
    "size-1 axes": _thin,
    "large planes": _large,
    "empty": _empty,
    "not contiguous": _at(lambda rng, p, size: p),
    "not finite": _strange((np.nan, np.inf, -np.inf)),
    "far": _at(lambda rng, p, size: p + np.array(size[::-1]) * rng.integers(-50, 50, p.shape)),
    "huge": _strange((9876.25, -123457.0, 13000000007.0, -13000000009.0, 1e30, -1e30)),
}


def cases(family: str, rng: np.random.Generator, kept: str, axes: int = 2) -> Iterator[Case]:
    """The cases of a family, for images that have the axes B and C, or only what is kept of them.

    axes  how many others: 1, 2 or 3
    """
    for U, xy in FAMILIES[family](rng, axes):
        batch, channels = (slice(None if axis in kept else 1) for axis in "BC")
        if U.size or kept == "BC":
            yield Case(U[batch, ..., channels], xy[batch])
