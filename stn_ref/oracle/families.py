"""Families of cases, each aimed at one kind of trouble; drawn from a generator, mostly small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array

Size = tuple[int, int]


class Case(NamedTuple):
    """images (N, C, H, W) and grid (N, H', W', 2), in one dtype."""

    images: Array
    grid: Array


def normalised(p: Array, size: Size, aligned: bool) -> Array:
    """The grid of these pixels, (x, y) last; an aligned axis of one pixel has only 0."""
    sizes = np.array(size[::-1], np.float64)
    return 2 * p / np.maximum(sizes - 1, 1) - 1 if aligned else (2 * p + 1) / sizes - 1


def _images(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def _points(rng: np.random.Generator, size: Size, shape: tuple[int, ...]) -> Array:
    """Pixels anywhere, up to two outside."""
    return rng.uniform(-2, np.array(size[::-1]) + 1.0, (*shape, 2))


def _at(
    place: Callable[[np.random.Generator, Array, Size], Array],
) -> Callable[[np.random.Generator, bool], Iterator[tuple[Array, Array]]]:
    """A family of small images whose points are moved to special places."""

    def family(rng: np.random.Generator, aligned: bool) -> Iterator[tuple[Array, Array]]:
        for shape in ((1, 1, 3, 4), (2, 3, 5, 6), (1, 2, 7, 2)):
            size = shape[2], shape[3]
            p = place(rng, _points(rng, size, (shape[0], 4, 5)), size)
            yield _images(rng, shape), normalised(p, size, aligned)

    return family


def _edges(rng: np.random.Generator, p: Array, size: Size) -> Array:
    """Within half a pixel of where an image begins and ends, and just beside."""
    sizes = np.array(size[::-1], np.float64)
    ends = rng.choice([-1.0, -0.5, 0.0], p.shape)
    ends = np.where(rng.random(p.shape) < 0.5, ends, sizes - 1 - ends)
    beside: Array = rng.choice([-1e-6, 0.0, 1e-6], p.shape)
    return ends + beside


def _thin(rng: np.random.Generator, aligned: bool) -> Iterator[tuple[Array, Array]]:
    """Axes of one pixel."""
    for size in ((1, 1), (1, 5), (4, 1)):
        p = _points(rng, size, (2, 3, 3))
        yield _images(rng, (2, 2, *size)), normalised(p, size, aligned)


def _large(rng: np.random.Generator, aligned: bool) -> Iterator[tuple[Array, Array]]:
    """Just over 2¹⁵ and 2¹⁶ pixels: an offset of 16 bits is too short."""
    for size in ((182, 181), (2, 32800)):
        p = _points(rng, size, (1, 6, 8))
        last = np.array(size[::-1]) - 1
        p[:, :, ::2] = last - rng.uniform(0, np.minimum(last, 30), (1, 6, 4, 2))  # its far end
        yield pattern((1, 1, *size)), normalised(p, size, aligned)


def pattern(shape: tuple[int, ...]) -> Array:
    """Values that one line of code makes again."""
    count = int(np.prod(shape))
    values: Array = np.sin(np.arange(count)).reshape(shape)
    return values


def _empty(rng: np.random.Generator, aligned: bool) -> Iterator[tuple[Array, Array]]:
    """No image, no channel, no output."""
    for N, C, height in ((0, 2, 3), (2, 0, 3), (2, 2, 0)):
        yield _images(rng, (N, C, 4, 5)), normalised(np.ones((N, height, 3, 2)), (4, 5), aligned)


def _strange(
    values: tuple[float, ...],
) -> Callable[[np.random.Generator, bool], Iterator[tuple[Array, Array]]]:
    """Among ordinary points, some with a coordinate of these."""

    def family(rng: np.random.Generator, aligned: bool) -> Iterator[tuple[Array, Array]]:
        for axes in ((0,), (1,), (0, 1)):
            grid = normalised(_points(rng, (4, 5), (2, 3, 6)), (4, 5), aligned)
            for axis in axes:
                grid[:, ::2, :, axis] = rng.choice(values, grid[:, ::2, :, axis].shape)
            yield _images(rng, (2, 2, 4, 5)), grid

    return family


FAMILIES: dict[str, Callable[[np.random.Generator, bool], Iterator[tuple[Array, Array]]]] = {
    "random": _at(lambda rng, p, size: p),
    "knots": _at(lambda rng, p, size: np.round(p)),
    "half-integers": _at(lambda rng, p, size: np.floor(p) + 0.5),
    "edges": _at(_edges),
    "size-1 axes": _thin,
    "large planes": _large,
    "empty": _empty,
    "not contiguous": _at(lambda rng, p, size: p),
    "not finite": _strange((np.nan, np.inf, -np.inf)),
    "huge": _strange((1e4, -1e6, 1e10, -1e10, 1e30, -1e30)),
}


def cases(family: str, rng: np.random.Generator, dtype: Any, aligned: bool) -> Iterator[Case]:
    """The cases of a family in a dtype."""
    for images, grid in FAMILIES[family](rng, aligned):
        with np.errstate(over="ignore"):
            case = Case(images.astype(dtype), grid.astype(dtype))
        yield _strewn(case) if family == "not contiguous" else case


def _strewn(case: Case) -> Case:
    """The same values as views: channels last, and every other one of a row."""
    last = np.ascontiguousarray(case.images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return Case(last, np.repeat(case.grid, 2, axis=2)[:, :, ::2])
