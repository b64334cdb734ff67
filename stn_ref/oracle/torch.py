"""PyTorch's dialect: `torch.nn.functional.grid_sample` and `affine_grid`, as of torch 2.13.

Images only: (N, C, H, W). `grids` says how it departs from section 3.

`as_shipped=True` follows an error of torch 2.13 on the CPU: in float16 an offset within a plane has
16 bits. In planes of more than 32768 pixels the later ones are read, and their gradients added,
65536 places too early: in the planes before, or before the memory of all images. There it is NaN
here and the gradient is lost; torch reads what it finds, and crashes when it writes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import affine, grids
from stn_ref.oracle.arguments import cast, switch
from stn_ref.oracle.dialect import Dialect, analysed_by, gradient_of, sampler
from stn_ref.oracle.sampling import Sampling

MODES = {"bilinear": grids.LINEAR, "nearest": grids.NEAREST, "bicubic": grids.CUBIC}


@sampler(grids.arrange)
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

    input  (N, C, H, W)     images, float16, float32 or float64
    grid   (N, H', W', 2)   source points, (x, y), −1 and 1 at the edges, in input's dtype
    mode, padding_mode      "bilinear", "nearest" or "bicubic"; "zeros", "border" or "reflection"
    align_corners           whether −1 and 1 are the outer pixels' centres; None is False
    as_shipped              with float16, take pixels as torch 2.13 does on the CPU, see above
    Returns (N, C, H', W') in input's dtype.
    Raises TypeError or ValueError if an argument has another form.
    """
    ours = MODES[choice("mode", mode, tuple(MODES))]
    s = grids.translated(("input", input), grid, ours, padding_mode, align_corners)
    if not switch("as_shipped", as_shipped) or np.asarray(input).dtype != np.float16:
        return s
    place = _short_offsets(np.shape(input))
    pixels = np.append(np.asarray(input, np.float64).ravel(), np.nan)[place]

    def spread(dU: Array) -> Array:
        whole = np.zeros(dU.size + 1)
        np.add.at(whole, place, dU.transpose(0, 3, 1, 2))
        return whole[:-1].reshape(np.shape(input))

    return s._replace(U=pixels.transpose(0, 2, 3, 1), layout=s.layout._replace(images=spread))


grid_sample_backward = gradient_of(grid_sample)


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

    theta  (N, 2, 3)
    size   (N, C, H', W') of the images to be made
    Returns (N, H', W', 2) in theta's dtype; an axis of size 1 lies at 0.
    Raises TypeError or ValueError if an argument has another form.
    """
    return cast(affine.points(theta, size, align_corners).value, np.asarray(theta).dtype)


@analysed_by(affine.points_backward)
def affine_grid_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: bool | None = None,
) -> Array:
    """The gradient of `affine_grid` in theta, (N, 2, 3), from that of its points."""
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
