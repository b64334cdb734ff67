"""`grid_sample` as PyTorch and ONNX have it, translated to a `Sampling`, there and back.

Departures from section 3, each a line below: coordinates are moved by the padding before they are
sampled (linear and nearest), so that a border's edge pixels have gradient 0; nearest rounds half to
even; cubic is `keys(-0.75)` and pads its taps instead; what is not finite is NaN or pixel 0,
depending on the mode.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR, INTEGER, keys
from stn_ref.equations.arguments import Array, Size, choice
from stn_ref.equations.lattice import centre, half_extent
from stn_ref.oracle.arguments import grid_of, planar_images, switch
from stn_ref.oracle.sampling import AxisMap, Layout, Sampling, clipped, half_even, mirrored
from stn_ref.oracle.twofold import two_product, two_sum

LINEAR, NEAREST, CUBIC = "linear", "nearest", "cubic"
PADDING_MODES = ("zeros", "border", "reflection")


def translated(
    images: tuple[str, ArrayLike],
    grid: ArrayLike,
    mode: str,
    padding_mode: str,
    align_corners: object,
    *,
    rounds_first: bool = False,
    clips_first: bool = False,
    arithmetic: Any = None,
    axes: tuple[int, ...] = (2,),
) -> Sampling:
    """A call in our terms; images come with their name, mode is one of the three above.

    rounds_first  nearest rounds before it pads: ONNX
    clips_first   cubic clips the coordinate to the border, not the taps: a known error
    arithmetic    the dtype in which coordinates overflow, if it is not the grid's
    axes          how many the images may have, beside N and C
    """
    choice("padding_mode", padding_mode, PADDING_MODES)
    aligned = switch("align_corners", align_corners)
    U = planar_images(*images, axes)
    points = grid_of("grid", grid, len(U), np.asarray(images[1]).dtype, U.ndim - 2)
    p, rest, slope = pixels(points, U.shape[1:-1], aligned, arithmetic)
    finite = np.isfinite(p)
    lost = ~finite.all(axis=-1, keepdims=True)
    folds = padding_mode == "reflection"
    about = "symmetric" if folds and not aligned else padding_mode
    layout = Layout(
        value=_planar,
        loss=lambda dV: np.moveaxis(dV, 1, -1),
        images=_planar,
        points=lambda dp: (dp,),
        dtypes=(points.dtype, points.dtype),
    )
    sampling = Sampling(U, p, slope, BILINEAR, layout, folds=folds, rest=rest, placing=None)
    if mode == CUBIC:
        p = np.where(lost, np.nan, p)
        early = clips_first and padding_mode == "border"
        move: AxisMap | None = partial(_clipped_outside, aligned=aligned) if early else None
        return sampling._replace(p=p, kernel=keys(-0.75), padding=about, move=move)
    if mode == NEAREST:
        sampling = sampling._replace(kernel=INTEGER, rounds=half_even)
    if padding_mode == "zeros" and mode == LINEAR:
        # ∂V/∂x has the weights of the other axes in it alone, so a lost x leaves it 0
        still = ~finite & (np.sum(~finite, axis=-1, keepdims=True) == 1)
        layout = layout._replace(points=lambda dp: (np.where(still & np.isnan(dp), 0.0, dp),))
        return sampling._replace(p=np.where(lost, np.nan, p), layout=layout)
    if padding_mode == "zeros":
        return sampling._replace(p=np.where(lost, -np.inf, p))
    if mode == NEAREST and rounds_first:
        return sampling._replace(p=np.where(np.isnan(p), 0.0, p), padding=about)
    return sampling._replace(move=partial(folded, aligned=aligned) if folds else clipped)


def pixels(
    grid: Array, size: Size, aligned: bool, arithmetic: Any = None
) -> tuple[Array, Array, tuple[float, ...]]:
    """x = c̃ x^s + c: p in float64, what it is short of x, and c̃ for x and y.

    Not finite where (x^s + 1) c̃ overflows in the dtype of the arithmetic, the grid's by default.
    """
    slope = tuple(half_extent(S, aligned) for S in reversed(size))
    with np.errstate(over="ignore", invalid="ignore"):
        wide = grid.astype(arithmetic or grid.dtype)
        own = (wide + 1) * np.array(slope, wide.dtype)
        far, rest = two_product(grid.astype(np.float64), np.array(slope))
        p, more = two_sum(far, np.array([centre(S) for S in reversed(size)]))
        p, rest = two_sum(p, rest + more)
    fits = np.isfinite(own)
    return np.where(fits, p, own.astype(np.float64)), np.where(fits, rest, 0.0), slope


def folded(x: Array, size: int, aligned: bool, most: float = np.inf) -> tuple[Array, Array]:
    """About the centres of the first and last pixel, or about their outer edges."""
    edge = 0.0 if aligned else 0.5
    return mirrored(x, size, -edge, size - 1 + edge, most)


def _clipped_outside(x: Array, size: int, aligned: bool) -> tuple[Array, Array]:
    """Onto the outer pixels' centres, but only from beyond their outer edges if not aligned."""
    edge = 0.0 if aligned else 0.5
    outside = (x < -edge) | (x > size - 1 + edge)
    place, _ = clipped(x, size)
    return np.where(outside, place, x), 1.0 * ~outside


def arrange(U: Array, xy: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    """Images (N, C, H, W) and the grid of these pixels."""
    aligned = switch("align_corners", options["align_corners"])
    return _planar(U), normalised(xy, U.shape[1:-1], aligned)


def normalised(xy: Array, size: Size, aligned: bool) -> Array:
    """The grid of these pixels, −1 and 1 at the edges; an aligned axis of one has only 0."""
    sizes = np.array(size[::-1], np.float64)
    return 2 * xy / np.maximum(sizes - 1, 1) - 1 if aligned else (2 * xy + 1) / sizes - 1


def _planar(V: Array) -> Array:
    return np.moveaxis(V, -1, 1)
