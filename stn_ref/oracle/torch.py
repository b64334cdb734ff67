"""PyTorch's dialect: `torch.nn.functional.grid_sample` and `affine_grid`, as of torch 2.13.

Images (N, C, H, W) and volumes (N, C, D, H, W). `grids` says how they depart from section 3. For
volumes torch has other code. There is no cubic, linear is trilinear, and a point that is not finite
is outside with zeros (0, where an image gives NaN), the last pixel with border and reflection (an
image's first), but with border −∞ the first. There torch drops the gradient of that pixel, except
at ±∞ with border; here it is the value's.

`as_shipped=True` follows errors of torch 2.13 on the CPU. In images of float16 an offset within a
plane has 16 bits. In planes of more than 32768 pixels the later ones are read, and their gradients
added, 65536 places too early: in the planes before, or before the memory of all images. There it is
NaN here and the gradient is lost; torch reads what it finds, and crashes when it writes. In volumes
reflection takes 2³¹ folds and more for an even number; and in float16 every step of a coordinate
and of a weight is rounded, so that beyond pixel 2048 a value is doubled or 0 (in value only).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import affine, grids, halves
from stn_ref.oracle.arguments import cast, switch
from stn_ref.oracle.dialect import Dialect, analysed_by, gradient_of, sampler
from stn_ref.oracle.sampling import Sampling

VOLUME_MODES = {"bilinear": grids.LINEAR, "nearest": grids.NEAREST}
MODES = VOLUME_MODES | {"bicubic": grids.CUBIC}


@sampler(grids.arrange, axes=(2, 3))
def grid_sample(
    input: ArrayLike,
    grid: ArrayLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
    *,
    as_shipped: bool = False,
) -> Sampling:
    """Sample images at normalised source points.

    input  (N, C, H, W)     images, float16, float32 or float64; volumes are (N, C, D, H, W)
    grid   (N, H', W', 2)   source points, (x, y), −1 and 1 at the edges, in input's dtype; of
                            volumes (N, D', H', W', 3), (x, y, z)
    mode, padding_mode      "bilinear", "nearest" or, of images, "bicubic"; "zeros", "border" or
                            "reflection"
    align_corners           whether −1 and 1 are the outer pixels' centres; None is False
    as_shipped              with the errors of torch 2.13 on the CPU, see above
    Returns (N, C, H', W') or (N, C, D', H', W') in input's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    volume = np.ndim(input) == 5
    ours = MODES[choice("mode", mode, tuple(VOLUME_MODES if volume else MODES))]
    s = grids.translated(("input", input), grid, ours, padding_mode, align_corners, axes=(2, 3))
    shipped, half = switch("as_shipped", as_shipped), np.asarray(input).dtype == np.float16
    if volume:
        s = _volume(s, padding_mode)
        aligned = switch("align_corners", align_corners)
        if shipped and half:
            return halves.shipped(s, np.asarray(grid), padding_mode, aligned)
        if shipped and s.folds:
            return s._replace(move=partial(grids.folded, aligned=aligned, most=2.0**31))
        return s
    if not shipped or not half:
        return s
    place = _short_offsets(np.shape(input))
    pixels = np.append(np.asarray(input, np.float64).ravel(), np.nan)[place]

    def spread(dU: Array) -> Array:
        whole = np.zeros(dU.size + 1)
        np.add.at(whole, place, dU.transpose(0, 3, 1, 2))
        return whole[:-1].reshape(np.shape(input))

    return s._replace(U=pixels.transpose(0, 2, 3, 1), layout=s.layout._replace(images=spread))


grid_sample_backward = gradient_of(grid_sample)


def _volume(s: Sampling, padding_mode: str) -> Sampling:
    """The same call, but with points that are not finite where torch has them in a volume."""
    last = np.array(s.sizes) - 1.0
    instead = np.asarray({"zeros": -np.inf, "border": np.inf, "reflection": last}[padding_mode])
    gone = ~np.isfinite(s.p) if s.folds else np.isnan(s.p)
    return s._replace(p=np.where(gone, instead, s.p))


def _short_offsets(shape: tuple[int, ...]) -> Array:
    """Where in memory each pixel is sought if its offset in its plane has 16 bits; −1 before it."""
    N, C, H, W = shape
    offset = np.arange(H * W).astype(np.int16).astype(np.intp)
    place = np.arange(N * C)[:, None] * H * W + offset
    return np.where(place < 0, -1, place).reshape(shape)


@analysed_by(affine.points)
def affine_grid(
    theta: ArrayLike, size: tuple[int, ...], align_corners: bool | None = None
) -> Array:
    """Source points of an affine map, Eq. 1.

    theta  (N, 2, 3), or (N, 3, 4) for volumes
    size   (N, C, H', W') of the images to be made, or (N, C, D', H', W')
    Returns (N, H', W', 2) or (N, D', H', W', 3) in theta's dtype; an axis of size 1 lies at 0.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    return cast(affine.points(theta, size, align_corners).value, np.asarray(theta).dtype)


@analysed_by(affine.points_backward)
def affine_grid_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: bool | None = None,
) -> Array:
    """The gradient of `affine_grid` in theta, and like it, from that of its points."""
    found = affine.points_backward(grad_grid, theta, size, align_corners)
    return cast(found.value, np.asarray(theta).dtype)


DIALECT = Dialect(
    function=grid_sample,
    points="(N, H', W', 2), (x, y) from −1 to 1: outer edges, or centres if align_corners=True",
    kernels={"nearest": {"mode": "nearest"}, "linear": {}, "cubic": {"mode": "bicubic"}},
    paddings={
        "zeros": {"padding_mode": "zeros", "align_corners": True},
        "border": {"padding_mode": "border", "align_corners": True},
        "reflection": {"padding_mode": "reflection", "align_corners": True},
        "symmetric": {"padding_mode": "reflection", "align_corners": False},
    },
    rules={
        "ties": "nearest takes the point back inside, then rounds half to even",
        "outside": "zeros, the default, fades tap by tap; cubic pads its taps, keys(−0.75)",
        "not finite": "NaN if linear with zeros, or cubic; else outside, and NaN is pixel 0",
        "slopes": "the right derivative where the padding takes the point; there it may run back",
        "edges": "border has slope 0 on its first and last pixel too",
    },
)

VOLUMES = DIALECT._replace(
    points="(N, D', H', W', 3), (x, y, z) from −1 to 1, as those of images",
    kernels={name: DIALECT.kernels[name] for name in ("nearest", "linear")},
    rules=DIALECT.rules
    | {
        "outside": "zeros, the default, fades tap by tap",
        "not finite": "0 with zeros; else the last pixel, but the first at −∞ with border",
    },
    axes=3,
)
