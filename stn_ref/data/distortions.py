"""The paper's distorted digits: each task is a row of ranges, drawn afresh from a generator.

A digit of 28 × 28 pixels, the frame, is turned, scaled and placed on a larger, empty canvas by
a similarity; P then pulls the frame's corners and E bends it at 16 points; TC adds clutter. The
sampler does the rest: every image is read once, through one transformation of §3.2.

Where the numbers come from: the 60 × 60 of TC, the 16 points of E and the addition of two RTS
digits are in the paper's text; the ranges of R, RTS, P and TC and the 84 × 84 of co-localisation
are what reimplementations of it use; the ranges of E and the 16 patches of cluttered
co-localisation are from memory. Ours are the 42 × 42 of P and E, places in whole pixels, that all
of a digit's ink stays inside, and that corners which would fold the frame are drawn again.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.api import transform
from stn_ref.equations import PROJECTIVE, SIMILARITY, Transformation, target_grid, thin_plate_spline
from stn_ref.equations.arguments import Array, generator, shaped
from stn_ref.equations.lattice import centre

FRAME = 28  # pixels of a digit's image along an axis
CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])  # of a frame, one after another


class Task(NamedTuple):
    """What may happen to a digit. All draws are independent.

    size      pixels of the canvas along an axis
    angle     degrees, uniform in ±angle
    scale     uniform between the two
    anywhere  whether the digit's place is random, whole pixels from the middle, uniform where the
              scaled frame and, however it turns, the digit's ink stay inside; else the middle
    corners   pixels, standard deviation of each coordinate of the frame's four corners
    points    pixels, standard deviation of each coordinate of 4 × 4 points on the frame
    patches   how many patches of other digits are added, anywhere; sums are cut at 1
    patch     pixels of a patch along an axis
    digits    how many digits, each in a channel of its own; the label is their sum
    together  whether all digits of a batch must be of one class
    """

    name: str
    size: int
    angle: float = 0
    scale: tuple[float, float] = (1, 1)
    anywhere: bool = False
    corners: float = 0
    points: float = 0
    patches: int = 0
    patch: int = 6
    digits: int = 1
    together: bool = False

    @property
    def classes(self) -> int:
        """How many labels there are: the sums of digits from 0 to 9."""
        return 9 * self.digits + 1

    @property
    def transformation(self) -> Transformation:
        """The record whose θ draws a digit."""
        if self.points:
            return _spline(self.size)
        return PROJECTIVE if self.corners else SIMILARITY


_RTS = Task("RTS", 42, angle=45, scale=(0.7, 1.2), anywhere=True)
_T = Task("colocalisation", 84, anywhere=True, together=True)

TASKS = {
    task.name: task
    for task in (
        Task("R", 28, angle=90),
        _RTS,
        Task("P", 42, scale=(0.75, 1), corners=5),
        Task("E", 42, scale=(0.75, 1), points=1.5),
        Task("TC", 60, anywhere=True, patches=6),
        _RTS._replace(name="addition", digits=2),
        _T,
        _T._replace(name="colocalisation_cluttered", patches=16),
    )
}


class Distorted(NamedTuple):
    """Distorted digits, and the truth about each; C is the number of digits in an image.

    images  (B, H, W, C)  in the dtype of the digits
    labels  (B,)          int64
    angle   (B, C)        radians, anticlockwise as one looks at the image
    scale   (B, C)
    place   (B, C, 2)     the middle of the frame, pixels, (x, y)
    theta   (B, C, …)     θ of the task's transformation, from the canvas to the digit: to undo it,
                          a network has to find the inverse; a rotation, minus the angle
    """

    images: Array
    labels: Array
    angle: Array
    scale: Array
    place: Array
    theta: Array

    @property
    def boxes(self) -> Array:
        """The edges of each frame before it turns, (B, C, 4), pixels, left, top, right, bottom."""
        half = FRAME / 2 * self.scale[..., None]
        return np.concatenate([self.place - half, self.place + half], axis=-1)


def distort(
    task: Task,
    images: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    clutter: ArrayLike | None = None,
) -> Distorted:
    """Draw each digit once as the task says; the same generator gives the same bits.

    images   (B, 28, 28, 1)  digits, floats in [0, 1]
    labels   (B,)            their classes, integers
    clutter  (N, 28, 28, 1)  digits that patches are cut from; if None, the others of the batch
    Where an image takes several digits, its first is the one given and the others are drawn from
    the batch.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> from stn_ref.data import TASKS, digits, distort
    >>> data, rng = digits(), np.random.default_rng(0)
    >>> distort(TASKS["RTS"], data.x_test[:3], data.y_test[:3], rng).images.shape
    (3, 42, 42, 1)
    """
    images, labels = _checked(task, images, labels, rng)
    pool = None if clutter is None else shaped("clutter", clutter, ("N", FRAME, FRAME, 1))
    if task.patches and len(images) and len(images if pool is None else pool) < 1 + (pool is None):
        raise ValueError("there is no other digit to cut clutter from; pass some as clutter")
    B = len(images)
    picks = [np.arange(B), *(rng.integers(max(B, 1), size=B) for _ in range(task.digits - 1))]
    channels = [_draw(task, images[pick], rng) for pick in picks]
    V, angle, scale, place, theta = zip(*channels, strict=True)
    canvas = np.concatenate(V, axis=-1)
    if task.patches and B:
        _add_clutter(canvas, task, images, pool, rng)
    truth = (np.stack(values, axis=1) for values in (angle, scale, place, theta))
    return Distorted(canvas, labels[np.array(picks)].sum(axis=0), *truth)


def _checked(
    task: Task, images: ArrayLike, labels: ArrayLike, rng: np.random.Generator
) -> tuple[Array, Array]:
    if not isinstance(task, Task):
        raise TypeError(f"task is {task!r}; expected a Task, such as TASKS['RTS']")
    if task.corners and task.points:
        raise ValueError(
            f"{task.name} has corners and points; a digit is drawn by one transformation"
        )
    generator(rng)
    images, labels = digits_and_labels(images, labels)
    if task.together and len(np.unique(labels)) > 1:
        raise ValueError(
            f"labels has the classes {np.unique(labels).tolist()}; {task.name} takes one"
        )
    return images, labels


def digits_and_labels(images: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    """Digits (B, 28, 28, 1) and their classes (B,), int64."""
    images, labels = shaped("images", images, ("B", FRAME, FRAME, 1)), np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels has dtype {labels.dtype}; expected integers")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels has shape {labels.shape}; expected ({len(images)},)")
    return images, labels.astype(np.int64)


def _draw(task: Task, images: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """One digit an image: the canvases, angles, scales, places and θ."""
    B, middle = len(images), centre(task.size)
    angle = np.deg2rad(rng.uniform(-task.angle, task.angle, B))
    scale = rng.uniform(*task.scale, B)
    shift = np.zeros((B, 2), int)
    if task.anywhere:
        room = _room(task, images, scale)[:, None]
        shift = rng.integers(-room, room, (B, 2), endpoint=True)
    theta = similarity(angle, scale, shift, task.size)
    if task.corners:
        theta = _pulled(task, theta, rng)
    if task.points:
        theta = _bent(task, theta, rng)
    size, T = (task.size, task.size), task.transformation
    V = transform(images, theta, transformation=T, size=size)
    return V, angle, scale, middle + shift, theta


def similarity(angle: Array, scale: Array, shift: Array, size: int) -> Array:
    """θ (B, 4) of SIMILARITY that turns, scales and then shifts a digit on a canvas.

        p′ = s R p + d,   so   p = R⁻¹ (p′ − d)/s,   R⁻¹ = [cos a −sin a; sin a cos a]

    p and p′ are pixels from the middle of the frame and of the canvas, with y down, in which R
    turns anticlockwise.
    angle (B,) radians, scale (B,), shift (B, 2) = d in pixels, size of the canvas
    """
    cos, sin, (x, y) = np.cos(angle), np.sin(angle), shift.T
    a_b = np.stack([cos, sin]) * centre(size)
    t = -np.stack([cos * x - sin * y, sin * x + cos * y])
    return (np.concatenate([a_b, t]) / (scale * centre(FRAME))).T


def _room(task: Task, images: Array, scale: Array) -> Array:
    """How many whole pixels a digit may be shifted (B,): its frame and its ink, faded, inside."""
    ink = radius(images) + np.sqrt(2)
    reach = np.maximum(FRAME / 2 * scale, ink * scale - 0.5)
    return np.asarray(np.maximum(np.floor(task.size / 2 - reach), 0), int)


def radius(images: Array) -> Array:
    """How far a digit's ink is from the middle of its frame, at most, pixels (B,)."""
    distance = np.hypot(*(target_grid((FRAME, FRAME)).transpose(2, 0, 1) * centre(FRAME)))
    return np.asarray(np.max(np.where(images[..., 0] != 0, distance, 0), axis=(1, 2)))


def _frame(points: Array, size: int) -> Array:
    """Points given in a frame's coordinates, in those of a canvas in whose middle it lies."""
    return points * centre(FRAME) / centre(size)


def _pulled(task: Task, theta: Array, rng: np.random.Generator) -> Array:
    """θ (B, 8) of PROJECTIVE: where a corner is pulled to, one finds what was at the corner."""
    corners = _frame(CORNERS, task.size)
    pulled = np.zeros((len(theta), 4, 2))
    fresh = np.ones(len(theta), bool)
    while fresh.any():  # a corner pulled across a side would turn the frame inside out
        noise = rng.normal(0, task.corners, (np.count_nonzero(fresh), 4, 2))
        pulled[fresh] = corners + noise / centre(task.size)
        fresh = ~is_convex(pulled)
    source = SIMILARITY.grid(theta, corners[None])[:, 0]
    return four_points(pulled, source)


def is_convex(corners: Array) -> Array:
    """Whether each four points (B, 4, 2) go round once, in the order of CORNERS."""
    x, y = np.moveaxis(np.roll(corners, -1, axis=1) - corners, -1, 0)
    turns = x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)
    return np.asarray(np.all(turns > 0, axis=1))


def four_points(target: Array, source: Array) -> Array:
    """θ (B, 8) of the projective map that takes target (B, 4, 2) to source: eight equations."""
    (x, y), (u, v) = np.moveaxis(target, -1, 0), np.moveaxis(source, -1, 0)
    one, zero = np.ones_like(x), np.zeros_like(x)
    first = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1)
    second = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1)
    equations = np.concatenate([first, second], axis=1)
    return np.linalg.solve(equations, np.concatenate([u, v], axis=1)[..., None])[..., 0]


@cache
def _spline(size: int) -> Transformation:
    """The spline of the 4 × 4 points on a frame in the middle of the canvas."""
    return thin_plate_spline(_frame(target_grid((4, 4)).reshape(-1, 2), size))


def _bent(task: Task, theta: Array, rng: np.random.Generator) -> Array:
    """θ (B, 16, 2) of the spline: at each point one finds what was a little beside it."""
    points = _spline(task.size).identity()
    noise = rng.normal(0, task.points, (len(theta), *points.shape)) / centre(task.size)
    return SIMILARITY.grid(theta, (points + noise)[:, None])[:, 0]


def _add_clutter(
    canvas: Array, task: Task, images: Array, pool: Array | None, rng: np.random.Generator
) -> None:
    """Add patches of other digits, whole pixels, and cut the sums at 1."""
    B, shape = len(canvas), (len(canvas), task.patches)
    if pool is None:  # any image but one's own
        which = (np.arange(B)[:, None] + rng.integers(1, B, shape)) % B
        pool = images
    else:
        which = rng.integers(len(pool), size=shape)
    take = rng.integers(FRAME - task.patch, size=(*shape, 2), endpoint=True)
    put = rng.integers(task.size - task.patch, size=(*shape, 2), endpoint=True)
    own, step = np.arange(B)[:, None, None], np.arange(task.patch)
    for k in range(task.patches):
        (i, j), (n, m) = (np.moveaxis(at[:, k, :, None] + step, 1, 0) for at in (put, take))
        patch = pool[which[:, k, None, None], n[:, :, None], m[:, None]]
        canvas[own, i[:, :, None], j[:, None]] += patch
    np.minimum(canvas, 1, out=canvas)
