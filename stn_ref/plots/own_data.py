"""Pictures of one's own data: a warped grid, what the gradient pulls, a kernel, a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

import stn_ref
from stn_ref import equations as eq
from stn_ref.backends.pixels import source_pixels
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_transformation,
    flag,
    number,
    shaped,
    whole,
    whole_size,
)
from stn_ref.equations.sampler import Kernels
from stn_ref.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    RED,
    WIDTH,
    a_map,
    headline,
    one,
    page,
    row_of,
    scale,
    show,
)

IN_PIXELS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1}  # arrows


def warped_grid(
    theta: Array,
    size: Size,
    source: Size,
    *,
    transformation: eq.Transformation = eq.AFFINE,
    align_corners: bool = True,
    lines: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """T_θ(G) over the source: every few rows and columns of G, its border, a dot at its corner.

    theta         (*identity().shape)  without a batch axis
    size, source  (H', W') of the lattice and (H, W) of the source
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    theta = shaped("theta", theta, np.shape(checked_transformation(transformation).identity()))
    size, source = whole_size(size, least=1), whole_size(source, least=1)
    align_corners = flag("align_corners", align_corners)
    xy = source_pixels(theta[None], transformation, size, source, align_corners)[0]
    return grid_lines(xy, lines=lines, ax=ax)


def grid_lines(xy: Array, *, lines: int = 10, ax: Axes | None = None) -> Axes:
    """Source points (H', W', 2) in pixels: every few rows and columns, border, first corner."""
    x, y = np.moveaxis(a_map("xy", xy, 2), -1, 0)
    rows, columns = (_few(S, whole("lines", lines, least=2)) for S in x.shape)
    ax = one(ax)
    for i in rows:
        ax.plot(x[i], y[i], color=RED, lw=0.8)
    for j in columns:
        ax.plot(x[:, j], y[:, j], color=RED, lw=0.8)
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        ax.plot(x[edge], y[edge], color=BLUE, lw=1.8)
    ax.plot(x[0, 0], y[0, 0], "o", color=BLUE, ms=5)
    ax.set_aspect("equal")
    ax.yaxis.set_inverted(True)  # rows down
    return ax


def _few(size: int, count: int) -> Array:
    """So many of an axis's indices, or all, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, count).round().astype(int))


def control_points(
    theta: Array,
    source: Size,
    *,
    transformation: eq.Transformation,
    align_corners: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Arrows from the points a transformation is anchored at to where θ (K, 2) puts them."""
    identity = checked_transformation(transformation).identity()
    both = np.stack([identity, shaped("theta", theta, (len(identity), 2))])[None]
    start, end = eq.to_pixels(both, source, align_corners=align_corners)[0]
    ax = one(ax)
    ax.quiver(*start.T, *(end - start).T, color=GREEN, **IN_PIXELS)
    ax.plot(*start.T, "o", color=GREEN, ms=4, mfc="white")
    ax.plot(*end.T, "o", color=GREEN, ms=4)
    return ax


def grid_and_output(
    U: Array,
    xy: Array,
    V: Array,
    *,
    title: str = "",
    lines: int = 10,
    axes: Sequence[Axes] | Array | None = None,
) -> Array:
    """First the feature map U (H, W, C) under its source points, then V (H', W', C), sampled there.

    xy  (H', W', 2)  pixels
    Returns the two axes.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, V = a_map("U", U), a_map("V", V)
    xy = shaped("xy", xy, (*V.shape[:2], 2))
    above, below = axes = row_of(axes, 2, WIDTH / 2)
    _with_margin(U, above, title)
    grid_lines(xy, lines=lines, ax=above)
    show(V, below, "$V$", **scale(U, zero=True))
    return axes


def _with_margin(U: Array, ax: Axes, title: str = "") -> None:
    """U in a frame, with room for points outside it, which do not change the view."""
    H, W, _ = U.shape
    show(U, ax, title, **scale(U, zero=True))
    ax.add_patch(Rectangle((-0.5, -0.5), W, H, fill=False, ec=GREY, lw=1))
    ax.set(xlim=(-0.25 * W, 1.25 * W), ylim=(1.25 * H, -0.25 * H))


def source_and_target(
    U: Array,
    theta: Array,
    *,
    transformation: eq.Transformation = eq.AFFINE,
    size: Size | None = None,
    kernel: Kernels = eq.BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    align_corners: bool = True,
    title: str = "",
    lines: int = 10,
    axes: Sequence[Axes] | Array | None = None,
) -> Array:
    """Left the feature map U (H, W, C) under the warped grid, right what is sampled there.

    theta  (*identity().shape)  without a batch axis
    size, kernel, padding, fill, align_corners as in `stn_ref.transform`
    Returns the two axes.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U = a_map("U", U)
    theta = shaped("theta", theta, np.shape(checked_transformation(transformation).identity()))
    V = stn_ref.transform(
        U[None],
        theta[None],
        transformation=transformation,
        size=size,
        kernel=kernel,
        padding=padding,
        fill=fill,
        align_corners=align_corners,
    )[0]
    xy = source_pixels(theta[None], transformation, V.shape[:2], U.shape[:2], align_corners)[0]
    return grid_and_output(U, xy, V, title=title, lines=lines, axes=axes)


def gradient_field(
    U: Array,
    xy: Array,
    dxy: Array,
    *,
    longest: float = 3.0,
    arrows: int = 14,
    ax: Axes | None = None,
) -> Axes:
    """Arrows −∂L/∂(x, y) over U: where descent would move each source point.

    U        (H, W, C)    feature map
    xy, dxy  (H', W', 2)  source points and the loss gradient there, as `sample_backward` gives it,
                          without a batch axis
    longest  how long the longest arrow is, in pixels of U; the others in proportion
    arrows   at most so many along each axis, evenly
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, xy = a_map("U", U), a_map("xy", xy, 2)
    dxy = shaped("dxy", dxy, xy.shape)
    rows, columns = (_few(S, whole("arrows", arrows, least=2)) for S in xy.shape[:2])
    few = np.ix_(rows, columns)
    (x, y), (dx, dy) = np.moveaxis(xy[few], -1, 0), np.moveaxis(-dxy[few], -1, 0)
    length = np.hypot(dx, dy)
    most = np.max(length, initial=0, where=np.isfinite(length))
    dx, dy = (number("longest", longest) * (d / (most or 1)) for d in (dx, dy))
    ax = one(ax)
    _with_margin(U, ax)
    ax.plot(x.ravel(), y.ravel(), ".", color=BLUE, ms=2)
    ax.quiver(x, y, dx, dy, color=RED, width=0.007, minlength=0, **IN_PIXELS)
    return ax


def kernel(row: eq.Kernel, *, axes: Sequence[Axes] | Array | None = None, **style: Any) -> Array:
    """k(t; Φ) in the first axes, its right derivative in the second, with the jumps left open.

    style  of the lines, as Matplotlib's `plot` takes it
    Returns the two axes.
    """
    if not isinstance(row, eq.Kernel):
        raise TypeError(f"row is {row!r}; expected a Kernel such as BILINEAR")
    axes, style = row_of(axes, 2, 2.8), {"color": BLUE} | style
    s = row.support + 0.5
    ends = np.arange(np.ceil(-s), s)
    knots = np.unique([ends + e for e in (0, row.support, -row.support)])
    knots = knots[np.abs(knots) < s]
    names = r"$k(t; \Phi)$", "right derivative $k'$"
    for ax, f, name in zip(axes, (row.k, row.dk), names, strict=True):
        for a, b in zip([-s, *knots], [*knots, s], strict=True):
            t = np.linspace(a, b, 101)
            t[-1] = np.nextafter(b, a)  # a jump at b belongs to the next piece
            ax.plot(t, f(t, row.Phi), **style)
        ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        ax.grid(alpha=0.3)
        low, high = ax.get_ylim()
        ax.set(ylim=(min(low, -0.3), max(high, 1.1)), xlabel="$t = x - m$", ylabel=name)
    Phi = ", ".join(f"{p:g}".replace("-", "−") for p in row.Phi)
    axes[0].plot([], [], label=Phi or row.name, **style)
    return axes


class Frame(NamedTuple):
    """What a transformer did with a few feature maps after so many steps.

    U   (B, H, W, C)     what it saw
    xy  (B, H', W', 2)   where it looked, pixels
    V   (B, H', W', C)   what it passed on
    """

    step: int
    U: Array
    xy: Array
    V: Array


def images_of(film: Sequence[Frame]) -> int:
    """B, or a ValueError if there is no frame, or one with another B."""
    numbers = {len(a) for frame in film for a in frame[1:]}
    if len(numbers) != 1 or 0 in numbers:
        raise ValueError(f"frames of {numbers or 'no'} images; expected one number, at least 1")
    return numbers.pop()


def training_film(
    film: Sequence[Frame], title: str = "", *, figure: Figure | SubFigure | None = None
) -> Array:
    """A column for each frame; for each image its grid over U, and below it V.

    The channels of feature maps are averaged.
    Returns the axes (2 B, frames).
    Raises TypeError or ValueError for a frame of a wrong shape, or of another B than the first.
    """
    B, width = images_of(film), WIDTH / max(len(film), 6)
    heights = [a.shape[1] / a.shape[2] for a in (film[0].U, film[0].V)] * B
    drawn = page(figure, 0.5 + sum(heights) * width, 0.4 + len(film) * width)
    axes = drawn.subplots(2 * B, len(film), height_ratios=heights, squeeze=False)
    for frame, column in zip(film, axes.T, strict=True):
        for b, pair in enumerate(column.reshape(B, 2)):
            glimpse(frame, b, axes=pair)
        column[0].set_title(f"step {frame.step}")
    for above, below in axes[:, 0].reshape(B, 2):
        above.set_ylabel("$U$, $T_\\theta(G)$")
        below.set_ylabel("$V$")
    headline(drawn, title)
    return np.asarray(axes)


def glimpse(frame: Frame, b: int, *, axes: Sequence[Axes] | Array) -> Array:
    """What a transformer did with one image of a frame."""
    U, V = (a[b].mean(axis=-1, keepdims=True) for a in (frame.U, frame.V))
    found = grid_and_output(U, frame.xy[b], V, lines=7, axes=axes)
    found[1].set_title("")
    return found
