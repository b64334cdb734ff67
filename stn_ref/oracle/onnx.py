"""ONNX's dialect: the operators GridSample (opsets 16, 20, 22) and AffineGrid (20).

On signals (N, C, W), images (N, C, H, W) and volumes (N, C, D, H, W), in every mode. As PyTorch's
images (`grids`), but nearest rounds first and pads then, so that a tie outside the image may go to
another pixel. ONNX defines no gradients; those here are of the same function. ONNX Runtime has no
signals, and of volumes no cubic.

`as_shipped` follows the errors of an implementation, in value:

    "reference"  ONNX's own NumPy reference, 1.23: cubic clips points to the border, where the
                 standard clips every tap; coordinates and weights are float32, for float64 too
    "runtime"    ONNX Runtime 1.32: a point that is not finite, or beyond 2⁶² pixels, is −1 on that
                 axis; from 2²⁴ pixels on, linear with border or reflection is 0 or twice the pixel
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import BILINEAR
from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import affine, grids
from stn_ref.oracle.arguments import cast, switch, unit_roundoff
from stn_ref.oracle.bounds import Expected
from stn_ref.oracle.dialect import Dialect, analysed_by, gradient_of, sampler
from stn_ref.oracle.sampling import Sampling

# opset 16 says bilinear and bicubic, the later ones linear and cubic
MODES = {
    "linear": grids.LINEAR,
    "bilinear": grids.LINEAR,
    "nearest": grids.NEAREST,
    "cubic": grids.CUBIC,
    "bicubic": grids.CUBIC,
}
# where the only point of an aligned axis lies
LONE = {None: 0.0, "reference": -1.0, "runtime": 1.0}


@sampler(grids.arrange, axes=(1, 2, 3))
def grid_sample(
    X: ArrayLike,
    grid: ArrayLike,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: int = 0,
    *,
    as_shipped: bool | str = False,
) -> Sampling:
    """The operator GridSample.

    X     (N, C, H, W)     images, float16, float32 or float64; (N, C, W), (N, C, D, H, W)
    grid  (N, H', W', 2)   source points, (x, y), −1 and 1 at the edges, in X's dtype; (N, W', 1)
                           or (N, D', H', W', 3), (x, y, z)
    mode, padding_mode     the names of any opset; "zeros", "border" or "reflection"
    as_shipped             True or "reference", or "runtime": with the errors of either, see above
    Returns (N, C, H', W'), (N, C, W') or (N, C, D', H', W') in X's dtype.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    whose = _shipped(as_shipped)
    dtype = np.promote_types(np.asarray(grid).dtype, np.float32)
    s = grids.translated(
        ("X", X),
        grid,
        MODES[choice("mode", mode, tuple(MODES))],
        padding_mode,
        align_corners,
        rounds_first=True,
        clips_first=whose == "reference",
        arithmetic=dtype,
        axes=(1, 2, 3),
    )
    if whose == "reference":
        p = s.p.astype(np.float32).astype(np.float64)
        roundoff = 2.0**-24 + (
            unit_roundoff(np.float16) if np.asarray(X).dtype == np.float16 else 0.0
        )
        return s._replace(p=p, rest=0.0, roundoff=roundoff)
    if whose == "runtime":
        return _at_run_time(s, np.asarray(grid, dtype), switch("align_corners", align_corners))
    return s


grid_sample_backward = gradient_of(grid_sample)


def _shipped(as_shipped: bool | str) -> str | None:
    """Whose errors are wanted."""
    if isinstance(as_shipped, str):
        return choice("as_shipped", as_shipped, ("reference", "runtime"))
    return "reference" if switch("as_shipped", as_shipped) else None


def _at_run_time(s: Sampling, grid: Array, aligned: bool) -> Sampling:
    """As ONNX Runtime has it where coordinates are not finite, or so large that +1 is lost."""
    p, rest, _ = grids.pixels(grid, s.U.shape[1:-1], aligned)
    lost, first = ~(abs(p.astype(grid.dtype)) <= 2.0**62), 0.0 if aligned else -0.5
    s = s._replace(p=np.where(lost, first, p), rest=np.where(lost, 0.0, rest))
    if s.kernel is not BILINEAR or s.move is None:
        return s
    S = np.array(s.sizes, grid.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        x = (grid + 1) / 2 * (S - 1) if aligned else ((grid + 1) * S - 1) / 2
    x = np.where(lost, first, x).astype(grid.dtype)
    below = np.floor(x)
    weights = ((below.astype(np.int64) + 1).astype(grid.dtype) - x) + (x - below)
    factor = np.where(abs(x) < 1 / np.finfo(grid.dtype).eps, 1.0, weights).prod(axis=-1)
    planar = s.layout.value
    return s._replace(layout=s.layout._replace(value=lambda V: planar(V * factor[..., None])))


def _points(
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: int = 0,
    *,
    as_shipped: bool | str = False,
) -> Expected:
    return affine.points(theta, size, align_corners, lone=LONE[_shipped(as_shipped)])


@analysed_by(_points)
def affine_grid(
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: int = 0,
    *,
    as_shipped: bool | str = False,
) -> Array:
    """The operator AffineGrid: theta (N, 2, 3) and size (N, C, H', W') to (N, H', W', 2).

    Or theta (N, 3, 4) and size (N, C, D', H', W') to (N, D', H', W', 3).
    as_shipped  where the only point of an aligned axis lies: −1 for "reference", 1 for "runtime"
    """
    found = _points(theta, size, align_corners, as_shipped=as_shipped)
    return cast(found.value, np.asarray(theta).dtype)


def _points_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: int = 0,
    *,
    as_shipped: bool | str = False,
) -> Expected:
    lone = LONE[_shipped(as_shipped)]
    return affine.points_backward(grad_grid, theta, size, align_corners, lone=lone)


@analysed_by(_points_backward)
def affine_grid_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: int = 0,
    *,
    as_shipped: bool | str = False,
) -> Array:
    """The gradient of `affine_grid` in theta, from that of its points."""
    found = _points_backward(grad_grid, theta, size, align_corners, as_shipped=as_shipped)
    return cast(found.value, np.asarray(theta).dtype)


DIALECT = Dialect(
    function=grid_sample,
    points="(N, H', W', 2), (x, y) from −1 to 1: outer edges, or centres if align_corners=1",
    kernels={"nearest": {"mode": "nearest"}, "linear": {}, "cubic": {"mode": "cubic"}},
    paddings={
        "zeros": {"padding_mode": "zeros", "align_corners": 1},
        "border": {"padding_mode": "border", "align_corners": 1},
        "reflection": {"padding_mode": "reflection", "align_corners": 1},
        "symmetric": {"padding_mode": "reflection", "align_corners": 0},
    },
    rules={
        "ties": "nearest rounds half to even, then takes the pixel back inside",
        "outside": "zeros, the default, fades tap by tap; cubic pads its taps, keys(−0.75)",
        "not finite": "not in the standard; here as torch, but nearest keeps ±∞ beyond its edge",
        "slopes": "none in the standard; here as torch",
        "edges": "none in the standard; here as torch",
    },
)
