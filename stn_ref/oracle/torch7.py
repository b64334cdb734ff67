"""Torch7's dialect: `BilinearSamplerBHWD` of stnbhwd, the sampler most early networks used.

Points are (y, x), −1 and 1 at the outer pixels' centres; a linear map is Eq. 3 with zeros outside,
and its gradient Eq. 7's right derivative. Departure: what is not finite is NaN. All this was read
in its source and not run, for Torch7 does not install any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR
from stn_ref.equations.arguments import Array
from stn_ref.oracle import grids
from stn_ref.oracle.arguments import channels_last, grid_of
from stn_ref.oracle.dialect import Dialect, gradient_of, sampler
from stn_ref.oracle.sampling import Layout, Sampling


def arrange(U: Array, xy: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    """Images as ours, and the grid of these pixels, (y, x)."""
    return U, grids.normalised(xy, U.shape[1:3], aligned=True)[..., ::-1]


@sampler(arrange)
def bilinear_sampler_bhwd(image: ArrayLike, grid: ArrayLike) -> Sampling:
    """Sample images at normalised source points.

    image  (B, H, W, C)     float16, float32 or float64
    grid   (B, H', W', 2)   source points, (y, x), −1 and 1 the outer pixels' centres
    Returns (B, H', W', C) in image's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    U = channels_last("image", image)
    points = grid_of("grid", grid, len(U), U.dtype)[..., ::-1]
    p, rest, slope = grids.pixels(points, U.shape[1:3], aligned=True)
    p = np.where(np.isfinite(p).all(axis=-1, keepdims=True), p, np.nan)
    layout = Layout(
        value=np.asarray,
        loss=np.asarray,
        images=np.asarray,
        points=lambda dp: (dp[..., ::-1],),
        dtypes=(U.dtype, U.dtype),
    )
    return Sampling(U.astype(np.float64), p, slope, BILINEAR, layout, rest=rest, placing=None)


bilinear_sampler_bhwd_backward = gradient_of(bilinear_sampler_bhwd)


DIALECT = Dialect(
    function=bilinear_sampler_bhwd,
    points="(B, H', W', 2), (y, x) from −1 to 1, the outer pixels' centres",
    kernels={"linear": {}},
    paddings={"zeros": {}},
    rules={
        "ties": "has no nearest",
        "outside": "fades tap by tap",
        "not finite": "NaN",
        "slopes": "the right derivative",
        "edges": "the right derivative, on −1 too",
    },
)
