"""Image files as feature maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread
from PIL import UnidentifiedImageError

from stn_ref import transform
from stn_ref.equations import AFFINE, hat, normalised
from stn_ref.equations.arguments import Array


def read_image(path: Path) -> Array:
    """An image file as (H, W, 3), from 0 to 1, on white; a grey one has three channels alike.

    Raises OSError if it cannot be opened, ValueError if it is not an image or less than 2 × 2.
    """
    try:
        found = np.asarray(imread(path))
    except (SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} is not an image that can be read: {error}") from error
    whole = np.issubdtype(found.dtype, np.integer)
    image = found / np.iinfo(found.dtype).max if whole else found.astype(float)
    image = np.atleast_3d(image)
    colours, opaque = image[..., :3], image[..., 3:] if image.shape[-1] == 4 else 1.0
    if min(image.shape[:2]) < 2:
        raise ValueError(f"{path} has {image.shape[0]} × {image.shape[1]} pixels; expected 2 × 2")
    return np.broadcast_to(opaque * colours + 1 - opaque, (*image.shape[:2], 3))


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
