"""Six thousand handwritten digits that ship with the package (see NOTICE for their licence)."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from stn_ref.equations.arguments import Array


class Digits(NamedTuple):
    """Images (N, 28, 28, 1), floats in [0, 1], and labels (N,), int64."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def digits(*, dtype: DTypeLike = np.float64) -> Digits:
    """5,000 training digits, 500 a class, and 1,000 test digits, 100 a class.

    dtype  of the images: float64 or float32
    Raises TypeError for another dtype.
    """
    with (files("stn_ref.data") / "digits.npz").open("rb") as file, np.load(file) as arrays:
        return from_bytes(*(arrays[name] for name in Digits._fields), dtype=dtype)


def from_bytes(
    x_train: Array, y_train: Array, x_test: Array, y_test: Array, *, dtype: DTypeLike
) -> Digits:
    """Digits from images (N, 28, 28) and labels (N,) of eight bits: pixels are divided by 255."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype is {np.dtype(dtype)}; expected float32 or float64")

    def unit(images: Array) -> Array:
        return np.divide(images[..., None], 255, dtype=np.dtype(dtype))

    return Digits(unit(x_train), y_train.astype(np.int64), unit(x_test), y_test.astype(np.int64))
