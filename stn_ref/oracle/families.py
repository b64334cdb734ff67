"""Families of cases, each aimed at one kind of trouble; drawn from a generator, mostly small.

They are in our terms, feature maps and pixels; a dialect's `arrange` puts them into its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array

Size = tuple[int, int]
Family = Callable[[np.random.Generator], "Iterator[Case]"]


class Case(NamedTuple):
    """U (B, H, W, C) and xy (B, H', W', 2) in pixels, float64."""

    U: Array
    xy: Array


def _images(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def _points(rng: np.random.Generator, size: Size, shape: tuple[int, ...]) -> Array:
    """Pixels anywhere, up to two outside, (*shape, 2)."""
    return rng.uniform(-2, np.array(size[::-1]) + 1.0, (*shape, 2))


def _at(place: Callable[[np.random.Generator, Array, Size], Array]) -> Family:
    """A family of small images whose points are moved to special places."""

    def family(rng: np.random.Generator) -> Iterator[Case]:
        for shape in ((1, 3, 4, 1), (2, 5, 6, 3), (1, 7, 2, 2)):
            size = shape[1], shape[2]
            xy = place(rng, _points(rng, size, (shape[0], 4, 5)), size)
            yield Case(_images(rng, shape), xy)

    return family


def _edges(rng: np.random.Generator, p: Array, size: Size) -> Array:
    """Within half a pixel of where an image begins and ends, and just beside."""
    sizes = np.array(size[::-1], np.float64)
    ends = rng.choice([-1.0, -0.5, 0.0], p.shape)
    ends = np.where(rng.random(p.shape) < 0.5, ends, sizes - 1 - ends)
    beside: Array = rng.choice([-1e-6, 0.0, 1e-6], p.shape)
    return ends + beside


def _many(rng: np.random.Generator) -> Iterator[Case]:
    """More images, channels and points than fit into one vector, one block or one chunk."""
    for shape, size in (((3, 9, 10, 5), (17, 40)), ((1, 12, 70, 8), (2, 1037))):
        yield Case(_images(rng, shape), _points(rng, (shape[1], shape[2]), (shape[0], *size)))


def _thin(rng: np.random.Generator) -> Iterator[Case]:
    """Axes of one pixel."""
    for size in ((1, 1), (1, 5), (4, 1)):
        yield Case(_images(rng, (2, *size, 2)), _points(rng, size, (2, 3, 3)))


def _large(rng: np.random.Generator) -> Iterator[Case]:
    """Just over 2¹⁵ and 2¹⁶ pixels: an offset of 16 bits is too short."""
    for size in ((200, 181), (2, 32800)):
        xy = _points(rng, size, (2, 6, 8))
        last = np.array(size[::-1]) - 1
        xy[:, :, ::2] = last - rng.uniform(0, np.minimum(last, 30), (2, 6, 4, 2))  # its far end
        # two images, so that what lies 2¹⁶ before a pixel of the second is a pixel too
        pixels = size[0] * size[1]
        yield Case(ramp(-pixels, pixels, pixels).reshape(2, *size, 1), xy)


def ramp(start: int, stop: int, length: int) -> Array:
    """Values that one line of code makes again; a wrong place shows, one beside it does not."""
    values: Array = np.arange(start, stop) / length
    return values


def _empty(rng: np.random.Generator) -> Iterator[Case]:
    """No output, no image, no channel."""
    for B, C, height in ((2, 2, 0), (0, 2, 3), (2, 0, 3)):
        yield Case(_images(rng, (B, 4, 5, C)), np.ones((B, height, 3, 2)))


def _strange(values: tuple[float, ...]) -> Family:
    """Among ordinary points, some with a coordinate of these."""

    def family(rng: np.random.Generator) -> Iterator[Case]:
        for axes in ((0,), (1,), (0, 1)):
            xy = _points(rng, (4, 5), (2, 3, 6))
            for axis in axes:
                xy[:, ::2, :, axis] = rng.choice(values, xy[:, ::2, :, axis].shape)
            yield Case(_images(rng, (2, 4, 5, 2)), xy)

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


def cases(family: str, rng: np.random.Generator, axes: str) -> Iterator[Case]:
    """The cases of a family, for images that have the axes B and C or have them not."""
    for U, xy in FAMILIES[family](rng):
        batch, channels = (slice(None if axis in axes else 1) for axis in "BC")
        if U.size or axes == "BC":
            yield Case(U[batch, ..., channels], xy[batch])
