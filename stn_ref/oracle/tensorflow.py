"""TensorFlow's dialect: `resampler`, once tf.contrib.resampler, then tfa.image.resampler (0.23).

Coordinates are pixels, and a linear map is Eq. 3 with zeros outside and Eq. 7's right derivative.
Departures: on −1 and S, and beyond, all gradients are 0, on −1 from the right too; so is
everything where a coordinate is not finite. Beside an integer TensorFlow itself finds the cell of a
float64 coordinate in float32, and may go on straight from the wrong one; here it is the right one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR
from stn_ref.equations.arguments import Array
from stn_ref.oracle.arguments import channels_last, real
from stn_ref.oracle.dialect import Dialect, gradient_of, sampler
from stn_ref.oracle.sampling import Layout, Sampling


def arrange(U: Array, xy: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    """Images and points are laid out as ours."""
    return U, xy


@sampler(arrange)
def resampler(data: ArrayLike, warp: ArrayLike) -> Sampling:
    """Sample images at points in pixels.

    data  (B, H, W, C)   float16, float32 or float64
    warp  (B, …, 2)      source points, (x, y), pixels, in data's dtype
    Returns (B, …, C) in data's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U, points = channels_last("data", data), real("warp", warp)
    if points.ndim < 2 or len(points) != len(U) or points.shape[-1] != 2:
        raise ValueError(f"warp has shape {points.shape}; expected ({len(U)}, …, 2)")
    if points.dtype != U.dtype:
        raise TypeError(f"warp has dtype {points.dtype} and data {U.dtype}; they must agree")
    (B, _, _, C), count = U.shape, int(np.prod(points.shape[1:-1]))
    layout = Layout(
        value=lambda V: V.reshape(*points.shape[:-1], C),
        loss=lambda dV: dV.reshape(B, 1, count, C),
        images=np.asarray,
        points=lambda dp: (dp.reshape(points.shape),),
        dtypes=(U.dtype, U.dtype),
    )
    p = points.astype(np.float64).reshape(B, 1, count, 2)
    return Sampling(U.astype(np.float64), p, (1.0, 1.0), BILINEAR, layout, move=_gated)


resampler_backward = gradient_of(resampler)


def _gated(x: Array, size: int) -> tuple[Array, Array]:
    """x where a tap can reach the plane, else so far away that none does."""
    near = (x > -1) & (x < size)
    return np.where(near, x, -np.inf), near * 1.0


DIALECT = Dialect(
    function=resampler,
    points="(B, …, 2), (x, y) in pixels",
    kernels={"linear": {}},
    paddings={"zeros": {}},
    rules={
        "ties": "has no nearest",
        "outside": "fades tap by tap",
        "not finite": "0, and so is every gradient",
        "slopes": "the right derivative",
        "edges": "0 on −1, where the right derivative is the first pixel",
    },
)
