"""PyTorch's dialect: `torch.nn.functional.grid_sample` and `affine_grid`, as of torch 2.13.

Images only: (N, C, H, W). `grids` says how it departs from section 3.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, choice
from stn_ref.oracle import grids
from stn_ref.oracle.dialect import gradient_of, sampler
from stn_ref.oracle.sampling import Sampling

MODES = {"bilinear": grids.LINEAR, "nearest": grids.NEAREST, "bicubic": grids.CUBIC}


@sampler(grids.arrange)
def grid_sample(
    input: ArrayLike,
    grid: ArrayLike,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Sampling:
    """Sample images at normalised source points.

    input  (N, C, H, W)     images, float16, float32 or float64
    grid   (N, H', W', 2)   source points, (x, y), −1 and 1 at the edges, in input's dtype
    mode, padding_mode      "bilinear", "nearest" or "bicubic"; "zeros", "border" or "reflection"
    align_corners           whether −1 and 1 are the outer pixels' centres; None is False
    Returns (N, C, H', W') in input's dtype.
    Raises TypeError or ValueError if an argument has another form.
    """
    ours = MODES[choice("mode", mode, tuple(MODES))]
    return grids.translated(("input", input), grid, ours, padding_mode, align_corners)


grid_sample_backward = gradient_of(grid_sample)


def affine_grid(
    theta: ArrayLike, size: tuple[int, ...], align_corners: bool | None = None
) -> Array:
    """Source points of an affine map, Eq. 1.

    theta  (N, 2, 3)
    size   (N, C, H', W') of the images to be made
    Returns (N, H', W', 2) in theta's dtype; an axis of size 1 lies at 0.
    Raises TypeError or ValueError if an argument has another form.
    """
    return grids.affine_points(theta, size, align_corners)


def affine_grid_backward(
    grad_grid: ArrayLike,
    theta: ArrayLike,
    size: tuple[int, ...],
    align_corners: bool | None = None,
) -> Array:
    """The gradient of `affine_grid` in theta, (N, 2, 3), from that of its points."""
    return grids.affine_points_backward(grad_grid, theta, size, align_corners)
