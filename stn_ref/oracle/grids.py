"""`grid_sample` as PyTorch and ONNX have it, translated to a `Sampling`, there and back.

Departures from section 3, each a line below: coordinates are moved by the padding before they are
sampled (linear and nearest), so that a border's edge pixels have gradient 0; nearest rounds half to
even; cubic is `keys(-0.75)` and pads its taps instead; what is not finite is NaN or pixel 0,
depending on the mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import AFFINE, BILINEAR, INTEGER, keys, target_grid, to_pixels
from stn_ref.equations.arguments import Array, Size, choice
from stn_ref.oracle.arguments import gradient_of, grid_of, planar_images, real, roundoff, switch
from stn_ref.oracle.bounds import Expected, gradients_and_bounds, value_and_bound
from stn_ref.oracle.sampling import AxisMap, Sampling, clipped, half_even, mirrored

LINEAR, NEAREST, CUBIC = "linear", "nearest", "cubic"
PADDING_MODES = ("zeros", "border", "reflection")


def translated(
    images: tuple[str, ArrayLike],
    grid: ArrayLike,
    mode: str,
    padding_mode: str,
    align_corners: object,
    *,
    rounds_first: bool = False,
    clips_first: bool = False,
) -> Sampling:
    """A call in our terms; images come with their name, mode is one of the three above.

    rounds_first  nearest rounds before it pads: ONNX
    clips_first   cubic clips the coordinate to the border, not the taps: a known error
    """
    choice("padding_mode", padding_mode, PADDING_MODES)
    aligned = switch("align_corners", align_corners)
    U = planar_images(*images)
    points = grid_of("grid", grid, len(U), np.asarray(images[1]).dtype)
    size = U.shape[1], U.shape[2]
    p, slope = _pixels(points, size, aligned), _slope(size, aligned)
    lost = ~np.isfinite(p).all(axis=-1, keepdims=True)
    folds = padding_mode == "reflection"
    about = "symmetric" if folds and not aligned else padding_mode
    if mode == CUBIC:
        p = np.where(lost, np.nan, p)
        early = clips_first and padding_mode == "border"
        move: AxisMap | None = partial(_clipped_outside, aligned=aligned) if early else None
        return Sampling(U, p, slope, keys(-0.75), about, move=move, folds=folds)
    if padding_mode == "zeros":
        if mode == LINEAR:
            return Sampling(U, np.where(lost, np.nan, p), slope, BILINEAR)
        return Sampling(U, np.where(lost, -np.inf, p), slope, INTEGER, rounds=half_even)
    if mode == NEAREST and rounds_first:
        p = np.where(np.isnan(p), 0.0, p)
        return Sampling(U, p, slope, INTEGER, about, rounds=half_even, folds=folds)
    kernel = BILINEAR if mode == LINEAR else INTEGER
    move = partial(_folded, aligned=aligned) if folds else clipped
    return Sampling(
        U, p, slope, kernel, move=move, rounds=half_even if mode == NEAREST else None, folds=folds
    )


def _pixels(grid: Array, size: Size, aligned: bool) -> Array:
    """Pixels, float64; not finite where the arithmetic of the grid's own dtype overflows."""
    sizes = np.array(size[::-1], grid.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        own = (grid + 1) / 2 * (sizes - 1) if aligned else ((grid + 1) * sizes - 1) / 2
        exact = to_pixels(grid.astype(np.float64), size, align_corners=aligned)
    return np.where(np.isfinite(own), exact, own.astype(np.float64))


def _slope(size: Size, aligned: bool) -> tuple[float, float]:
    """∂ pixels/∂ grid."""
    height, width = size
    return ((width - 1) / 2, (height - 1) / 2) if aligned else (width / 2, height / 2)


def _folded(x: Array, size: int, aligned: bool) -> tuple[Array, Array]:
    """About the centres of the first and last pixel, or about their outer edges."""
    edge = 0.0 if aligned else 0.5
    return mirrored(x, size, -edge, size - 1 + edge)


def _clipped_outside(x: Array, size: int, aligned: bool) -> tuple[Array, Array]:
    """Onto the outer pixels' centres, but only from beyond their outer edges if not aligned."""
    edge = 0.0 if aligned else 0.5
    outside = (x < -edge) | (x > size - 1 + edge)
    place, _ = clipped(x, size)
    return np.where(outside, place, x), 1.0 * ~outside


def value(sampling: Sampling, images: ArrayLike) -> Array:
    """(N, C, H', W') in the images' dtype."""
    return _planar(sampling.value()).astype(np.asarray(images).dtype)


def gradients(grad_output: ArrayLike, sampling: Sampling, images: ArrayLike) -> tuple[Array, Array]:
    """The gradients of images and grid in their dtype, from that of the output."""
    dU, dgrid = sampling.gradient(_loss(grad_output, sampling))
    dtype = np.asarray(images).dtype
    return _planar(dU).astype(dtype), dgrid.astype(dtype)


def value_expected(translate: Callable[..., Sampling]) -> Callable[..., Expected]:
    """What `expected` calls for a function of these images, grid and options."""

    def analyse(images: ArrayLike, *args: Any, **kwargs: Any) -> Expected:
        found = value_and_bound(translate(images, *args, **kwargs), roundoff(images))
        return Expected(*map(_planar, found))

    return analyse


def gradients_expected(
    translate: Callable[..., Sampling],
) -> Callable[..., tuple[Expected, Expected]]:
    """What `expected` calls for its gradients, from that of its output."""

    def analyse(
        grad_output: ArrayLike, images: ArrayLike, *args: Any, **kwargs: Any
    ) -> tuple[Expected, Expected]:
        sampling = translate(images, *args, **kwargs)
        dV = _loss(grad_output, sampling)
        dU, dgrid = gradients_and_bounds(sampling, dV, roundoff(images))
        return Expected(*map(_planar, dU)), dgrid

    return analyse


def _planar(V: Array) -> Array:
    return V.transpose(0, 3, 1, 2)


def _loss(grad_output: ArrayLike, s: Sampling) -> Array:
    shape = len(s.U), s.U.shape[3], *s.p.shape[1:3]
    return gradient_of("grad_output", grad_output, shape).transpose(0, 2, 3, 1)


def affine_points(theta: ArrayLike, size: tuple[int, ...], align_corners: object) -> Array:
    """Eq. 1 on the lattice of size (N, C, H', W'): (N, H', W', 2) in theta's dtype."""
    theta, lattice = _affine(theta, size, align_corners)
    return AFFINE.grid(theta.astype(np.float64), lattice).astype(theta.dtype)


def affine_points_backward(
    grad_grid: ArrayLike, theta: ArrayLike, size: tuple[int, ...], align_corners: object
) -> Array:
    """The gradient of `affine_points` in theta."""
    theta, lattice = _affine(theta, size, align_corners)
    dgrid = gradient_of("grad_grid", grad_grid, (len(theta), *lattice.shape))
    dtheta, _ = AFFINE.grid_backward(dgrid, theta.astype(np.float64), lattice)
    return dtheta.astype(theta.dtype)


def _affine(theta: ArrayLike, size: tuple[int, ...], align_corners: object) -> tuple[Array, Array]:
    theta = real("theta", theta)
    if len(size) != 4 or theta.shape != (size[0], 2, 3):
        raise ValueError(
            f"theta has shape {theta.shape} and size is {tuple(size)}; "
            "expected (N, 2, 3) and (N, C, H', W')"
        )
    aligned = switch("align_corners", align_corners)
    return theta, target_grid((size[2], size[3]), align_corners=aligned)
