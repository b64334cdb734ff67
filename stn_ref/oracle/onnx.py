"""ONNX's dialect: the operators GridSample (opsets 16, 20, 22) and AffineGrid (20), on images.

As PyTorch's (`grids`), but nearest rounds first and pads then, so that a tie outside the image may
go to another pixel. ONNX defines no gradients; those here are of the same function.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import grids
from stn_ref.oracle.dialect import gradient_of, sampler
from stn_ref.oracle.sampling import Sampling

# opset 16 says bilinear and bicubic, the later ones linear and cubic
MODES = {
    "linear": grids.LINEAR,
    "bilinear": grids.LINEAR,
    "nearest": grids.NEAREST,
    "cubic": grids.CUBIC,
    "bicubic": grids.CUBIC,
}


@sampler(grids.arrange)
def grid_sample(
    X: ArrayLike,
    grid: ArrayLike,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: int = 0,
    *,
    as_shipped: bool = False,
) -> Sampling:
    """The operator GridSample.

    X     (N, C, H, W)     images, float16, float32 or float64
    grid  (N, H', W', 2)   source points, (x, y), −1 and 1 at the edges, in X's dtype
    mode, padding_mode     the names of any opset; "zeros", "border" or "reflection"
    as_shipped             with cubic and border, clip the coordinate as ONNX's own NumPy reference
                           does, where the standard, ONNX Runtime and torch clip every tap
    Returns (N, C, H', W') in X's dtype.
    Raises TypeError or ValueError if an argument has another form.
    """
    return grids.translated(
        ("X", X),
        grid,
        MODES[choice("mode", mode, tuple(MODES))],
        padding_mode,
        align_corners,
        rounds_first=True,
        clips_first=as_shipped,
    )


grid_sample_backward = gradient_of(grid_sample)


def affine_grid(theta: ArrayLike, size: tuple[int, ...], align_corners: int = 0) -> Array:
    """The operator AffineGrid: theta (N, 2, 3) and size (N, C, H', W') to (N, H', W', 2)."""
    return grids.affine_points(theta, size, align_corners)


def affine_grid_backward(
    grad_grid: ArrayLike, theta: ArrayLike, size: tuple[int, ...], align_corners: int = 0
) -> Array:
    """The gradient of `affine_grid` in theta, from that of its points."""
    return grids.affine_points_backward(grad_grid, theta, size, align_corners)
