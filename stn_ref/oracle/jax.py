"""JAX's dialect: `jax.scipy.ndimage.map_coordinates`, as of JAX 0.10.

On signals, images and volumes. Coordinates are pixels, the first axis's (planes, rows) before the
last's. The taps are padded, as in section 3, so that a linear map is Eq. 3 and its gradient Eq. 7's
right derivative in every mode. Departures: nearest rounds half away from zero; "constant" fills; ±∞
is NaN if linear; a NaN is pixel 0 if nearest. Beyond 2³¹ JAX itself stops at the largest integer;
here the padding goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR, INTEGER
from stn_ref.equations.arguments import Array, choice, number
from stn_ref.oracle.arguments import real, unit_roundoff
from stn_ref.oracle.dialect import Dialect, gradient_of, sampler
from stn_ref.oracle.sampling import Layout, Sampling, half_away

PADDINGS = {
    "constant": "constant",
    "nearest": "border",
    "wrap": "wrap",
    "mirror": "reflection",
    "reflect": "symmetric",
}


def arrange(U: Array, xy: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    """The first image (H, W), and rows and columns (2, H', W')."""
    return U[0, ..., 0], np.moveaxis(xy[0, ..., ::-1], -1, 0)


@sampler(arrange, kept="", axes=(1, 2, 3))
def map_coordinates(
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    order: int,
    mode: str = "constant",
    cval: float = 0.0,
) -> Sampling:
    """Values of an image at pixel coordinates.

    input        (H, W), (W,) or (D, H, W)  float16, float32 or float64
    coordinates  an array for each axis, of one shape: rows, then columns
    order, mode  0 nearest or 1 linear; "constant" (cval), "nearest", "wrap", "mirror", "reflect"
    Returns the coordinates' shape, in input's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    padding = PADDINGS[choice("mode", mode, tuple(PADDINGS))]
    fill = number("cval", cval) if padding == "constant" else 0.0
    checked_order(order)
    U, p, layout = pixels(input, coordinates)
    coarser = max(map(unit_roundoff, layout.dtypes))
    s = Sampling(U, p, (1.0,) * p.shape[-1], BILINEAR, layout, padding, fill, roundoff=coarser)
    if order == 1:
        return s._replace(p=np.where(np.isfinite(p).all(axis=-1, keepdims=True), p, np.nan))
    return s._replace(p=np.where(np.isnan(p), 0.0, p), kernel=INTEGER, rounds=half_away)


map_coordinates_backward = gradient_of(map_coordinates)


def checked_order(order: object) -> None:
    """0 or 1; ValueError if it is neither."""
    if not isinstance(order, int | np.integer) or order not in (0, 1):
        raise ValueError(f"order is {order!r}; expected 0 or 1")


def _real_axis(axis: ArrayLike) -> Array:
    """Whole numbers are places too."""
    array = np.asarray(axis)
    whole = np.issubdtype(array.dtype, np.integer)
    return array.astype(np.float64) if whole else real("coordinates", array)


def pixels(
    input: ArrayLike, coordinates: Sequence[ArrayLike] | Array
) -> tuple[Array, Array, Layout]:
    """U (1, H, W, 1), p (1, 1, points, 2), and the way back to one image and its coordinates."""
    image, given = real("input", input), [_real_axis(axis) for axis in coordinates]
    axes = image.ndim
    if axes not in (1, 2, 3) or 0 in image.shape:
        raise ValueError(
            f"input has shape {image.shape}; expected (H, W), (W,) or (D, H, W), no side 0"
        )
    if len(given) != axes or any(axis.shape != given[0].shape for axis in given):
        raise ValueError(
            f"coordinates have shapes {[axis.shape for axis in given]}; expected {axes} alike"
        )
    shape, ahead = given[0].shape, (1,) * axes  # B, and sides before the last
    p = np.stack([axis.astype(np.float64).ravel() for axis in given[::-1]], axis=-1)
    layout = Layout(
        value=lambda V: V.reshape(shape),
        loss=lambda dV: dV.reshape(*ahead, -1, 1),
        images=lambda dU: dU[0, ..., 0],
        points=lambda dp: (np.moveaxis(dp[..., ::-1], -1, 0).reshape(axes, *shape),),
        dtypes=(image.dtype, np.result_type(*given)),
    )
    return image.astype(np.float64)[None, ..., None], p.reshape(*ahead, -1, axes), layout


DIALECT = Dialect(
    function=map_coordinates,
    points="rows, then columns, in pixels",
    kernels={"nearest": {"order": 0}, "linear": {"order": 1}},
    paddings={
        "zeros": {"mode": "constant"},
        "border": {"mode": "nearest"},
        "reflection": {"mode": "mirror"},
        "symmetric": {"mode": "reflect"},
        "wrap": {"mode": "wrap"},
    },
    rules={
        "ties": "rounds half away from zero, then pads",
        "outside": "constant, the default, fades tap by tap; wrap has the period S",
        "not finite": "NaN if linear; of order 0, NaN is pixel 0 in every mode",
        "slopes": "the right derivative in x itself, in every mode",
        "edges": "the right derivative in x itself: 0 only beyond the last pixel",
    },
)
