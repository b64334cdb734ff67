"""JAX's dialect: `jax.scipy.ndimage.map_coordinates`, as of JAX 0.10, on images.

Coordinates are pixels, the row first. The taps are padded, as in section 3, so that a linear map is
Eq. 3 and its gradient Eq. 7's right derivative in every mode. Departures: nearest rounds half away
from zero; "constant" fills; ±∞ is NaN if linear; a NaN is pixel 0 if nearest. Beyond 2³¹ JAX itself
stops at the largest integer; here the padding goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR, INTEGER
from stn_ref.equations.arguments import Array, choice, number
from stn_ref.oracle.arguments import gradient_of, real, roundoff
from stn_ref.oracle.bounds import Expected, bounded_by, gradients_and_bounds, value_and_bound
from stn_ref.oracle.sampling import Sampling, half_away

PADDINGS = {
    "constant": "constant",
    "nearest": "border",
    "wrap": "wrap",
    "mirror": "reflection",
    "reflect": "symmetric",
}


def _translated(
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    order: int,
    mode: str = "constant",
    cval: float = 0.0,
) -> Sampling:
    image, p = real("input", input), _pixels(coordinates)
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"input has shape {image.shape}; expected (H, W), neither of them 0")
    if order not in (0, 1):
        raise ValueError(f"order is {order!r}; expected 0 or 1")
    padding = PADDINGS[choice("mode", mode, tuple(PADDINGS))]
    fill = number("cval", cval) if padding == "constant" else 0.0
    U = image.astype(np.float64)[None, :, :, None]
    if order == 1:
        p = np.where(np.isfinite(p).all(axis=-1, keepdims=True), p, np.nan)
        return Sampling(U, p, (1.0, 1.0), BILINEAR, padding, fill, exact=True)
    p = np.where(np.isnan(p), 0.0, p)
    return Sampling(U, p, (1.0, 1.0), INTEGER, padding, fill, rounds=half_away, exact=True)


def _pixels(coordinates: Sequence[ArrayLike] | Array) -> Array:
    """(1, 1, points, 2), x before y."""
    given = [real("coordinates", axis) for axis in coordinates]
    if len(given) != 2 or given[0].shape != given[1].shape:
        raise ValueError(
            f"coordinates have shapes {[axis.shape for axis in given]}; expected two alike"
        )
    return np.stack([axis.astype(np.float64).ravel() for axis in given[::-1]], axis=-1)[None, None]


def _value_expected(
    input: ArrayLike, coordinates: Sequence[ArrayLike] | Array, *args: Any, **kwargs: Any
) -> Expected:
    found = value_and_bound(_translated(input, coordinates, *args, **kwargs), roundoff(input))
    return Expected(*(array.reshape(np.shape(coordinates[0])) for array in found))


@bounded_by(_value_expected, _translated)
def map_coordinates(
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    order: int,
    mode: str = "constant",
    cval: float = 0.0,
) -> Array:
    """Values of an image at pixel coordinates.

    input        (H, W)  float16, float32 or float64
    coordinates  two arrays of one shape: rows, then columns
    order, mode  0 nearest or 1 linear; "constant" (cval), "nearest", "wrap", "mirror", "reflect"
    Returns the coordinates' shape, in input's dtype.
    Raises TypeError or ValueError if an argument has another form.
    """
    V = _translated(input, coordinates, order, mode, cval).value()
    return V.reshape(np.shape(coordinates[0])).astype(np.asarray(input).dtype)


def _gradients_expected(
    grad_output: ArrayLike,
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    *args: Any,
    **kwargs: Any,
) -> tuple[Expected, Expected]:
    sampling = _translated(input, coordinates, *args, **kwargs)
    dV = _loss(grad_output, np.shape(coordinates[0]))
    dU, dp = gradients_and_bounds(sampling, dV, roundoff(input))
    return Expected(*(array[0, :, :, 0] for array in dU)), Expected(
        *(_rows_first(array, np.shape(coordinates[0])) for array in dp)
    )


@bounded_by(_gradients_expected, _translated, map_coordinates)
def map_coordinates_backward(
    grad_output: ArrayLike,
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    order: int,
    mode: str = "constant",
    cval: float = 0.0,
) -> tuple[Array, Array]:
    """The gradients of `map_coordinates` in input and coordinates, rows before columns."""
    sampling, shape = _translated(input, coordinates, order, mode, cval), np.shape(coordinates[0])
    dU, dp = sampling.gradient(_loss(grad_output, shape))
    dtype = np.result_type(*map(np.asarray, coordinates))
    return dU[0, :, :, 0].astype(np.asarray(input).dtype), _rows_first(dp, shape).astype(dtype)


def _loss(grad_output: ArrayLike, shape: tuple[int, ...]) -> Array:
    return gradient_of("grad_output", grad_output, shape).reshape(1, 1, -1, 1)


def _rows_first(dp: Array, shape: tuple[int, ...]) -> Array:
    rows, columns = dp[0, 0, :, 1], dp[0, 0, :, 0]
    return np.stack([rows.reshape(shape), columns.reshape(shape)])
