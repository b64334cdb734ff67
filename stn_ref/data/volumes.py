"""Digits extruded into volumes, turned in space and placed at random, as in appendix A.3.

A digit is stacked into a solid, as deep as it has slices; one affine map of three axes turns,
scales and places it, and the sampler reads it once. That A.3 extrudes digits of MNIST and turns
and moves them is the paper's, the 60 × 60 × 60 voxels what reimplementations of it use; the angle,
the thickness, the smaller volume and that all of the ink stays inside are ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.api import transform
from stn_ref.data.distortions import FRAME, digits_and_labels, radius
from stn_ref.equations import affine
from stn_ref.equations.arguments import Array, generator, number, whole
from stn_ref.equations.lattice import centre


class Extruded(NamedTuple):
    """Digits in volumes, and the truth about each; points are (x, y, z), y down and z away.

    images    (B, D, H, W, 1)  in the dtype of the digits
    labels    (B,)             int64
    rotation  (B, 3, 3)        R
    place     (B, 3)           the middle of the digit, voxels
    theta     (B, 3, 4)        A_θ of affine(3), from the volume to the solid; to undo it, a network
                               has to find the inverse
    """

    images: Array
    labels: Array
    rotation: Array
    place: Array
    theta: Array


def extrude(
    images: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    size: int = 24,
    scale: float = 0.6,
    thickness: int = 8,
    angle: float = 60,
) -> Extruded:
    """Draw each digit once, as a solid in space; the same generator gives the same bits.

    images     (B, 28, 28, 1)  digits, floats in [0, 1]
    labels     (B,)            their classes, integers
    size       voxels of the volume along an axis
    scale      voxels to a pixel
    thickness  slices of the solid, a pixel apart
    angle      degrees, uniform in ±angle, about an axis in any direction, uniform too
    The place is uniform where the ink, however it is turned, stays inside; else it is the middle.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.
    """
    images, labels = digits_and_labels(images, labels)
    generator(rng)
    volume = (whole("size", size, least=1),) * 3
    solid = (whole("thickness", thickness, least=2), FRAME, FRAME)
    if number("scale", scale) <= 0:
        raise ValueError(f"scale is {scale}; expected more than 0")
    if number("angle", angle) < 0:
        raise ValueError(f"angle is {angle}; expected 0 or more")
    B = len(images)
    R = rotation(rng.normal(size=(B, 3)), np.deg2rad(rng.uniform(-angle, angle, B)))
    reach = scale * (np.hypot(radius(images), centre(thickness)) + np.sqrt(3))
    room = np.maximum(size / 2 - reach, 0)[:, None]
    shift = rng.uniform(-room, room, (B, 3))
    theta = placed(R, scale, shift, volume, solid)
    V = transform(
        np.broadcast_to(images[:, None], (B, *solid, 1)),
        theta,
        transformation=affine(3),
        size=volume,
    )
    return Extruded(V, labels, R, centre(size) + shift, theta)


def rotation(axis: Array, angle: Array) -> Array:
    """R (B, 3, 3), by an angle about an axis, from x to y about z.

        R = cos a 1 + sin a [k]_× + (1 − cos a) k kᵀ,   [k]_× v = k × v

    axis (B, 3), of any length, along k; angle (B,) radians
    """
    k = (axis / np.linalg.norm(axis, axis=1, keepdims=True))[:, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    cross = np.cross(k, np.eye(3)).swapaxes(1, 2)  # its columns are k × e
    return np.asarray(cos * np.eye(3) + sin * cross + (1 - cos) * k.swapaxes(1, 2) * k)


def placed(
    R: Array, scale: float, shift: Array, volume: tuple[int, ...], solid: tuple[int, ...]
) -> Array:
    """θ (B, 3, 4) of affine(3) that turns, scales and then shifts a solid in a volume.

        p′ = s R p + d,   so   p = R⁻¹ (p′ − d)/s

    p and p′ are from the middle of the solid and of the volume, a slice or a voxel apart.
    shift (B, 3) = d in voxels; volume, solid (D, H, W)
    """
    outer, inner = (np.array([centre(S) for S in size[::-1]]) for size in (volume, solid))
    both = np.concatenate([np.broadcast_to(np.diag(outer), R.shape), -shift[..., None]], axis=2)
    return np.asarray(R.swapaxes(1, 2) @ both / (scale * inner[:, None]))
