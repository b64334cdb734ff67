"""SciPy's dialect: `scipy.ndimage.map_coordinates` of orders 0 and 1, as of SciPy 1.17.

On signals, images and volumes. Coordinates are pixels, the first axis's (planes, rows) before the
last's. Departures from section 3: "constant", the default, is cval wherever a point is outside at
all, without fading ("grid-constant" fades); nearest rounds half up, and in "reflect" and "mirror"
after the point is folded back; "wrap" has the period S − 1, the last pixel being the first again
("grid-wrap" has S). A point that is not finite is cval, in "nearest" and "grid-constant" NaN if
linear. SciPy has no gradients; those here are the function's.

Where SciPy leaves it to the compiler, this does not follow: "nearest" of order 0 at +∞ is the last
pixel (there the first), "wrap" and "grid-wrap" at +∞ cval (pixel 0, NaN or a crash), and beyond
2⁵³ points go on being folded. The last number below ½ rounds to 0 (there 1). SciPy's own default,
order=3, is a spline through the pixels and no kernel of Eq. 3 on the image itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR, INTEGER
from stn_ref.equations.arguments import Array, choice, number
from stn_ref.oracle import jax
from stn_ref.oracle.dialect import Dialect, gradient_of, sampler
from stn_ref.oracle.sampling import Sampling, half_up

PADDINGS = {
    "constant": "constant",
    "grid-constant": "constant",
    "nearest": "border",
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflection",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}


@sampler(jax.arrange, kept="", axes=(1, 2, 3))
def map_coordinates(
    input: ArrayLike,
    coordinates: Sequence[ArrayLike] | Array,
    order: int = 1,
    mode: str = "constant",
    cval: float = 0.0,
) -> Sampling:
    """Values of an image at pixel coordinates.

    input        (H, W), (W,) or (D, H, W)  float16, float32 or float64
    coordinates  an array for each axis, of one shape: rows, then columns
    order        0 nearest or 1 linear
    mode         "constant", "grid-constant", "nearest", "reflect" or "grid-mirror", "mirror",
                 "wrap", "grid-wrap"
    cval         the value outside in the first two, and of points that are nowhere
    Returns the coordinates' shape, in input's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    padding, cval = PADDINGS[choice("mode", mode, tuple(PADDINGS))], number("cval", cval)
    jax.checked_order(order)
    U, p, layout = jax.pixels(input, coordinates)
    s = Sampling(U, p, (1.0,) * p.shape[-1], BILINEAR, layout, padding)
    if padding not in ("constant", "border"):
        s = s._replace(placing=2.0**-53)  # it folds the point in float64
    if order == 0:
        s = s._replace(kernel=INTEGER, rounds=half_up, move=FOLDS.get(mode))
    if padding == "constant":
        s = s._replace(fill=cval)
    if mode == "constant":
        return s._replace(move=_inside)
    if mode == "wrap":
        s = s._replace(move=_turned)
    if padding in ("constant", "border"):
        lost, instead = ~np.isfinite(p).all(axis=-1, keepdims=True), np.nan
        if order == 0:
            lost, instead = np.isnan(p), 0.0 if mode == "nearest" else -np.inf
        return s._replace(p=np.where(lost, instead, p))
    single = np.array(s.sizes) == 1
    return s._replace(p=np.where(single & np.isinf(p), 0.0, p), nowhere=cval)


map_coordinates_backward = gradient_of(map_coordinates)


def _inside(x: Array, size: int) -> tuple[Array, Array]:
    """x from the first pixel to the last, else far away."""
    place = np.where((x >= 0) & (x <= size - 1), x, -np.inf)
    return place, 1.0 * ((x >= 0) & (x < size - 1))


def _turned(x: Array, size: int) -> tuple[Array, Array]:
    """Round and round between the first pixel and the last, which are one."""
    span = float(size - 1)
    if span == 0:
        return 0 * x, 0 * x
    above, below = np.fmod(x, span), span - np.fmod(-x, span)
    return np.where(x > span, above, np.where(x < 0, below, x)), np.ones_like(x)


def _reflected(x: Array, size: int) -> tuple[Array, Array]:
    """Folded about the outer edges, into −1 … size, at most."""
    r = np.mod(x, 2 * size)
    return np.where(r < size, r, 2 * size - 1 - r), np.where(r < size, 1.0, -1.0)


def _mirrored(x: Array, size: int) -> tuple[Array, Array]:
    """Folded about the outer pixels; on the right only from the next pixel on."""
    if size == 1:
        return 0 * x, 0 * x
    period = 2.0 * size - 2
    r = np.fmod(abs(x), period)
    straight = r < np.where(x < 0, size - 1, size)
    slope = np.where(straight, 1.0, -1.0) * np.where(x < 0, -1.0, 1.0)
    return np.where(straight, r, period - r), slope


# where order 0 takes a point before it rounds
FOLDS = {"reflect": _reflected, "grid-mirror": _reflected, "mirror": _mirrored}


DIALECT = Dialect(
    function=map_coordinates,
    points="rows, then columns, in pixels",
    kernels={"nearest": {"order": 0}, "linear": {"order": 1}},
    paddings={
        "zeros": {"mode": "grid-constant"},
        "border": {"mode": "nearest"},
        "reflection": {"mode": "mirror"},
        "symmetric": {"mode": "reflect"},
        "wrap": {"mode": "grid-wrap"},
    },
    rules={
        "ties": "reflect and mirror fold first; then it rounds half up",
        "outside": "constant, the default, is cval outside and does not fade",
        "not finite": "cval, but NaN if linear with grid-constant or nearest",
        "slopes": "none in SciPy; here the right derivative in x itself",
        "edges": "none in SciPy; here the right derivative in x itself",
    },
)
