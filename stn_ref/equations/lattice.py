"""§3.2, the regular grid G, and the step the paper leaves out: from [−1, 1] to pixels.

Eqs. 1 and 2 speak of normalised coordinates and Eqs. 3 to 7 of pixels. Between them lies a
convention. Write c = (S − 1)/2 for the centre of an axis of S pixels and c̃ for its half-extent:

    align_corners=True     c̃ = (S − 1)/2     ±1 are the centres of the corner pixels
    align_corners=False    c̃ = S/2           ±1 are the outer edges of the corner pixels

and a pixel p has the normalised coordinate (p − c)/c̃.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import Array, Size, flag, points, whole_size
from stn_ref.equations.quiet import quiet


def centre(size: int) -> float:
    """c = (S − 1)/2, in pixels."""
    return (size - 1) / 2


def half_extent(size: int, align_corners: bool) -> float:
    """c̃, the distance in pixels from the centre to ±1."""
    return (size - 1 if align_corners else size) / 2


def target_grid(size: Size, *, align_corners: bool = True) -> Array:
    """The regular grid of target points.

        G_i = (x_i^t, y_i^t),   x_i^t = (j − c)/c̃                             §3.2

    size           (H', W') of the output feature map; 0 gives an empty lattice
    align_corners  whether ±1 are the corner pixels' centres or their outer edges
    Returns G (H', W', 2), normalised, (x, y), float64. An axis of one pixel has G = 0. Of a signal,
    (W',), it is (W', 1), of a volume, (D', H', W'), it is (D', H', W', 3), last axis (x, y, z).
    Raises TypeError or ValueError if size is not one to three integers of at least 0.

    >>> stn_ref.equations.target_grid((2, 3))[..., 0]
    array([[-1.,  0.,  1.],
           [-1.,  0.,  1.]])
    """
    size, ac = whole_size(size, None), flag("align_corners", align_corners)
    axes = [(np.arange(S) - (S - 1) / 2) / (half_extent(S, ac) or 1.0) for S in size]
    return np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)


def homogeneous(G: Array) -> Array:
    """(x, y, 1) of every point, (…, 3) from (…, 2): one more than there are axes."""
    return np.concatenate([G, np.ones_like(G[..., :1])], axis=-1)


def summed_like(d: Array, G: Array) -> Array:
    """The gradient of a lattice that serves the whole batch is the sum over it."""
    return d.sum(axis=0) if G.ndim < d.ndim else d


def per_image(M: Array, axes: int) -> Array:
    """A matrix for each image, (B, K, L), beside its points: (B, 1, K, L) for two axes."""
    return np.expand_dims(M, tuple(range(1, axes)))


def sum_of_outer_products(p: Array, q: Array) -> Array:
    """Σ_i p_i q_i^T, (B, K, L), of p (B, H', W', K) and q (B, H', W', L) or (H', W', L)."""
    N = prod(p.shape[1:-1])
    flat_p = p.reshape(len(p), N, p.shape[-1])
    flat_q = q.reshape(len(p) if q.ndim == p.ndim else 1, N, q.shape[-1])
    return flat_p.swapaxes(1, 2) @ flat_q


@quiet
def to_pixels(grid: ArrayLike, size: Size, *, align_corners: bool = True) -> Array:
    """Place normalised source points on the pixels of the input.

        x = c̃ x^s + c                                                         §3.2

    grid  (B, H', W', 2)  source points, normalised, (x, y); (x) or (x, y, z) of other axes
    size  (H, W) of the input feature map
    Returns xy (B, H', W', 2), pixels, centres at 0..W−1 and 0..H−1, in grid's dtype.
    Raises TypeError or ValueError for a grid or size of a wrong shape, dtype or value.
    """
    size, ac = whole_size(size, None, least=1), flag("align_corners", align_corners)
    grid = points("grid", grid, len(size))
    c = np.array([(S - 1) / 2 for S in size[::-1]], grid.dtype)
    return grid * np.array([half_extent(S, ac) for S in size[::-1]], grid.dtype) + c


@quiet
def to_pixels_backward(dxy: ArrayLike, size: Size, *, align_corners: bool = True) -> Array:
    """Carry the gradient in pixels back to normalised points: the slope c̃ multiplies Eq. 7.

        ∂L/∂x^s = c̃ ∂L/∂x                                                     §3.2

    dxy   (B, H', W', 2)  gradient of the loss in pixels
    size  (H, W) of the input feature map
    Returns dgrid (B, H', W', 2), in dxy's dtype.
    """
    size, ac = whole_size(size, None, least=1), flag("align_corners", align_corners)
    dxy = points("dxy", dxy, len(size))
    return dxy * np.array([half_extent(S, ac) for S in size[::-1]], dxy.dtype)


@quiet
def to_pixels_jvp(grid_dot: ArrayLike, size: Size, *, align_corners: bool = True) -> Array:
    """How the pixels change as the normalised points do: by the same slope.

        ẋ = c̃ ẋ^s                                                             §3.2

    grid_dot  (B, H', W', 2)  how the source points change, normalised
    size      (H, W) of the input feature map
    Returns xy_dot (B, H', W', 2), in grid_dot's dtype.
    """
    size, ac = whole_size(size, None, least=1), flag("align_corners", align_corners)
    grid_dot = points("grid_dot", grid_dot, len(size))
    return grid_dot * np.array([half_extent(S, ac) for S in size[::-1]], grid_dot.dtype)
