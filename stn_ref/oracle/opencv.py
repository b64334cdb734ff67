"""OpenCV's dialect: `cv2.remap`, as of OpenCV 5.0, with one map for x and one for y.

Points are pixels and taps are padded one by one, as in section 3. Departures: nearest rounds half
to even; cubic is `keys(-0.75)`; a single borderValue is that of the first channel, the others have
0; an image of one channel comes back without that axis; uint8 is rounded half to even at the end.

`as_shipped=True` is OpenCV's own result in two known cases: linear on float64, or on 2 or more than
4 channels, rounds points to 1/32 pixel; cubic stops points at −M and 2M, M the larger of S and 16,
before it folds them. Not followed are cubic on float64, which makes integers of the pixels where a
tap is outside, and points that are not finite or beyond 2³¹, where its answer depends on the
processor: here NaN stays NaN and ±∞ is beyond that edge. Never ask OpenCV 5.0 itself for cubic with
BORDER_REFLECT_101 on an axis of one pixel: it does not come back. It has no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR, INTEGER, keys
from stn_ref.equations.arguments import Array
from stn_ref.oracle.arguments import cast, real
from stn_ref.oracle.dialect import Dialect, gradient_of, sampler
from stn_ref.oracle.sampling import Layout, Sampling, half_even
from stn_ref.oracle.twofold import two_sum

INTER_NEAREST, INTER_LINEAR, INTER_CUBIC = range(3)
BORDER_CONSTANT, BORDER_REPLICATE, BORDER_REFLECT, BORDER_WRAP, BORDER_REFLECT_101 = range(5)

KERNELS = {INTER_NEAREST: INTEGER, INTER_LINEAR: BILINEAR, INTER_CUBIC: keys(-0.75)}
PADDINGS = {
    BORDER_REPLICATE: "border",
    BORDER_REFLECT: "symmetric",
    BORDER_WRAP: "wrap",
    BORDER_REFLECT_101: "reflection",
}
FRAME = 2  # pixels


def arrange(U: Array, xy: Array, options: dict[str, Any]) -> tuple[Array, Array, Array]:
    """The first image, (H, W) or (H, W, C), and its maps."""
    image = U[0, :, :, 0] if U.shape[3] == 1 else U[0]
    return image, xy[0, ..., 0], xy[0, ..., 1]


@sampler(arrange, kept="C")
def remap(
    src: ArrayLike,
    map1: ArrayLike,
    map2: ArrayLike,
    interpolation: int,
    borderMode: int = BORDER_CONSTANT,
    borderValue: float | Sequence[float] = 0,
    *,
    as_shipped: bool = False,
) -> Sampling:
    """Sample an image at pixel coordinates.

    src            (H, W) or (H, W, C)  uint8, float32 or float64
    map1, map2     (H', W')  x and y of the points
    interpolation  INTER_NEAREST, INTER_LINEAR or INTER_CUBIC
    borderMode     BORDER_CONSTANT, _REPLICATE, _REFLECT, _REFLECT_101 or _WRAP
    borderValue    outside, under BORDER_CONSTANT: up to four numbers, one a channel, over and over
    as_shipped     as OpenCV 5.0 itself gives it, see above
    Returns (H', W') or (H', W', C) in src's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    image = np.asarray(src)
    if image.dtype != np.uint8:
        image = real("src", src)
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"src has shape {image.shape}; expected (H, W) or (H, W, C), none of them 0"
        )
    maps = real("map1", map1), real("map2", map2)
    if maps[0].ndim != 2 or maps[0].shape != maps[1].shape:
        raise ValueError(
            f"map1 and map2 have shapes {maps[0].shape} and {maps[1].shape}; expected two (H', W')"
        )
    U = np.atleast_3d(image)[None].astype(np.float64)
    p, C = np.stack(maps, axis=-1)[None].astype(np.float64), U.shape[3]
    kernel, padding = _one_of("interpolation", interpolation, KERNELS), "zeros"
    if as_shipped:
        p = _as_shipped(p, U.shape[1:3], interpolation, C not in (1, 3, 4) or image.dtype == float)
    if borderMode != BORDER_CONSTANT:
        padding = _one_of("borderMode", borderMode, PADDINGS)
    colours = np.zeros(4)
    given = np.atleast_1d(np.asarray(borderValue, np.float64))
    if given.ndim != 1 or len(given) > 4 or not np.isfinite(given).all():
        raise ValueError(f"borderValue is {borderValue!r}; expected up to four finite numbers")
    colours[: len(given)] = given
    colours = np.resize(cast(colours, image.dtype), C).astype(np.float64)
    inside = np.s_[:, FRAME:-FRAME, FRAME:-FRAME]
    rest: Array | float = 0.0
    framed = borderMode == BORDER_CONSTANT and bool(colours.any())
    if framed:  # a frame in that colour, which goes on for ever; even, for the ties' sake
        inner, padding = U, "border"
        with np.errstate(invalid="ignore"):
            p, rest = two_sum(p, float(FRAME))
        rest = np.where(np.isfinite(p), rest, 0.0)
        U = np.broadcast_to(colours, (1, *(s + 2 * FRAME for s in U.shape[1:3]), C)).copy()
        U[inside] = inner
    layout = Layout(
        value=lambda V: V[0, :, :, 0] if C == 1 else V[0],
        loss=lambda dV: dV.reshape(1, *maps[0].shape, C),
        images=lambda dU: (dU[inside] if framed else dU).reshape(image.shape),
        points=lambda dp: (dp[0, ..., 0], dp[0, ..., 1]),
        dtypes=(image.dtype, np.result_type(*maps)),
    )
    s = Sampling(U, p, (1.0, 1.0), kernel, layout, padding, rest=rest)
    return s._replace(rounds=half_even) if interpolation == INTER_NEAREST else s


remap_backward = gradient_of(remap)


def _one_of(name: str, value: object, options: dict[int, Any]) -> Any:
    if not isinstance(value, int | np.integer) or value not in options:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(str, options))}")
    return options[int(value)]


def _as_shipped(p: Array, size: tuple[int, ...], interpolation: int, by_table: bool) -> Array:
    """The points that OpenCV itself samples at."""
    if interpolation == INTER_LINEAR and by_table:
        return np.asarray(np.rint(32 * p) / 32)
    if interpolation == INTER_CUBIC:
        reach = np.maximum(size[::-1], 16)
        return np.clip(p, -reach, 2 * reach)
    return p


DIALECT = Dialect(
    function=remap,
    points="a map of x and a map of y, in pixels",
    kernels={
        "nearest": {"interpolation": INTER_NEAREST},
        "linear": {"interpolation": INTER_LINEAR},
        "cubic": {"interpolation": INTER_CUBIC},
    },
    paddings={
        "zeros": {"borderMode": BORDER_CONSTANT},
        "border": {"borderMode": BORDER_REPLICATE},
        "reflection": {"borderMode": BORDER_REFLECT_101},
        "symmetric": {"borderMode": BORDER_REFLECT},
        "wrap": {"borderMode": BORDER_WRAP},
    },
    rules={
        "ties": "rounds half to even, then pads",
        "outside": "BORDER_CONSTANT, the default, fades tap by tap; cubic is keys(−0.75)",
        "not finite": "left to the processor; here NaN is NaN, and ±∞ beyond its edge",
        "slopes": "none in OpenCV; here the right derivative in x itself",
        "edges": "none in OpenCV; here the right derivative in x itself",
    },
)
