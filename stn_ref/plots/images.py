"""Image files as feature maps, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps, UnidentifiedImageError

from stn_ref import transform
from stn_ref.equations import AFFINE, hat, normalised
from stn_ref.equations.arguments import Array, shaped
from stn_ref.files import replacing

SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: Path | str) -> Array:
    """An image file as (H, W, C), from 0 to 1, turned as its EXIF says.

    C is 1 for grey and 3 for colours, and one more where there is alpha. Grey may have 16 bits, or
    be of floats, which are taken as they are; colours have 8.
    Raises OSError if it cannot be opened; ValueError if it is no image, has whole numbers of
    32 bits (which of them is white?), or less than 2 × 2 pixels.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
    except (SyntaxError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} is not an image that can be read: {error}") from error
    if min(image.size) < 2:
        raise ValueError(f"{path} has {image.height} × {image.width} pixels; expected 2 × 2")
    if image.mode in SIXTEEN or (image.mode == "I" and file.format == "PNG"):
        return np.asarray(image, float)[..., None] / 65535
    if image.mode == "F":
        return np.asarray(image, float)[..., None]
    if image.mode == "I":
        raise ValueError(f"{path} has 32 bits a pixel; expected 8 or 16, or floats")
    grey, alpha = image.mode in ("1", "L", "LA"), image.has_transparency_data
    mode = ("L" if grey else "RGB") + "A" * alpha
    return np.atleast_3d(np.asarray(image.convert(mode), float) / 255)


def write_image(path: Path | str, image: ArrayLike, *, bits: int = 8) -> Path:
    """A feature map (H, W, C) as an image file, its kind by the path's ending; returns the path.

    image  from 0, black, to 1, white; what is beyond is cut off, NaN is 0. C as in `read_image`
    bits   8, or 16 for grey (PNG or TIFF)
    Raises ValueError for another shape or number of bits, or an ending that nobody knows; OSError
    if it cannot be written, or not in this kind: JPEG has no alpha.
    """
    path, pixels = Path(path), shaped("image", image, ("H", "W", "C"))
    C = pixels.shape[-1]
    if C > 4 or bits not in (8, 16) or (bits == 16 and C > 1):
        raise ValueError(
            f"image has {C} channels and bits is {bits}; expected 1 to 4 channels of 8 bits, or 1 "
            "channel of 16"
        )
    white = 2**bits - 1
    whole = np.rint(white * np.clip(np.nan_to_num(pixels, nan=0.0), 0, 1)).astype(f"u{bits // 8}")
    with replacing(path) as written:
        Image.fromarray(whole[..., 0] if C == 1 else whole).save(written)
    return path


def on_white(image: Array) -> Array:
    """An image of any channels as three colours (H, W, 3), over white where it is transparent."""
    C = image.shape[-1]
    colours, opaque = (image[..., :-1], image[..., -1:]) if C in (2, 4) else (image, 1.0)
    return np.broadcast_to(opaque * colours + (1 - opaque), (*image.shape[:2], 3))


def fitted(U: Array, largest: int) -> Array:
    """U (H, W, C), shrunk by a hat as wide as its steps if a side is longer than that."""
    step = max(U.shape[:2]) / largest
    if step <= 1:
        return U
    small: Array = transform(
        U[None],
        AFFINE.identity()[None],
        size=tuple(max(2, round(S / step)) for S in U.shape[:2]),
        kernel=normalised(hat(step)),
        padding="symmetric",
        align_corners=False,
        backend="reference",
    )[0]
    return small
