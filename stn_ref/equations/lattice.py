"""§3.2, the regular grid G, and the step the paper leaves out: from [−1, 1] to pixels.

Eqs. 1 and 2 speak of normalised coordinates and Eqs. 3 to 7 of pixels. Between them lies a
convention. Write c = (S − 1)/2 for the centre of an axis of S pixels and c̃ for its half-extent:

    align_corners=True     c̃ = (S − 1)/2     ±1 are the centres of the corner pixels
    align_corners=False    c̃ = S/2           ±1 are the outer edges of the corner pixels

and a pixel p has the normalised coordinate (p − c)/c̃.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, Size, flag, points, size2


def centre(size: int) -> float:
    """c = (S − 1)/2, in pixels."""
    return (size - 1) / 2


def half_extent(size: int, align_corners: bool) -> float:
    """c̃, the distance in pixels from the centre to ±1."""
    return centre(size) if align_corners else size / 2


def target_grid(size: Size, *, align_corners: bool = True) -> Array:
    """The regular grid of target points.

        G_i = (x_i^t, y_i^t),   x_i^t = (j − c)/c̃                             §3.2

    size           (H', W') of the output feature map; 0 gives an empty lattice
    align_corners  whether ±1 are the corner pixels' centres or their outer edges
    Returns G (H', W', 2), normalised, (x, y), float64. An axis of one pixel has G = 0.
    Raises TypeError or ValueError if size is not two integers of at least 0.
    """
    height, width = size2(size)
    ac = flag("align_corners", align_corners)
    x, y = np.meshgrid(_normalised_axis(width, ac), _normalised_axis(height, ac))
    return np.stack([x, y], axis=-1)


def _normalised_axis(size: int, align_corners: bool) -> Array:
    extent = half_extent(size, align_corners)
    return (np.arange(size) - centre(size)) / (extent or 1.0)


def homogeneous(G: Array) -> Array:
    """(x, y, 1) of every point, (…, 3) from (…, 2)."""
    return np.concatenate([G, np.ones_like(G[..., :1])], axis=-1)


def over_batch(d: Array, G: Array) -> Array:
    """The gradient of a lattice that serves the whole batch is the sum over it."""
    return d.sum(axis=0) if G.ndim == 3 else d


@np.errstate(all="ignore")
def to_pixels(grid: ArrayLike, size: Size, *, align_corners: bool = True) -> Array:
    """Place normalised source points on the pixels of the input.

        x = c̃ x^s + c                                                         §3.2

    grid  (B, H', W', 2)  source points, normalised, (x, y)
    size  (H, W) of the input feature map
    Returns xy (B, H', W', 2), pixels, centres at 0..W−1 and 0..H−1, in grid's dtype.
    Raises TypeError or ValueError if grid or size has another form.
    """
    grid = points("grid", grid)
    scale, shift = _pixel_map(size, align_corners, grid.dtype)
    return grid * scale + shift


@np.errstate(all="ignore")
def to_pixels_backward(dxy: ArrayLike, size: Size, *, align_corners: bool = True) -> Array:
    """Carry the gradient in pixels back to normalised points: the slope c̃ multiplies Eq. 7.

        ∂L/∂x^s = c̃ ∂L/∂x                                                     §3.2

    dxy   (B, H', W', 2)  gradient of the loss in pixels
    size  (H, W) of the input feature map
    Returns dgrid (B, H', W', 2), in dxy's dtype.
    """
    dxy = points("dxy", dxy)
    scale, _ = _pixel_map(size, align_corners, dxy.dtype)
    return dxy * scale


def _pixel_map(size: Size, align_corners: bool, dtype: np.dtype[np.generic]) -> tuple[Array, Array]:
    height, width = size2(size, least=1)
    ac = flag("align_corners", align_corners)
    scale = np.array([half_extent(width, ac), half_extent(height, ac)], dtype)
    return scale, np.array([centre(width), centre(height)], dtype)
