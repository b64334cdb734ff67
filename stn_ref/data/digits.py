"""Six thousand handwritten digits that ship with the package (see NOTICE for their licence)."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from stn_ref.equations.arguments import Array


class Digits(NamedTuple):
    """Images (N, 28, 28, 1), float64 in [0, 1], and labels (N,), int64; classes in equal number."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def digits() -> Digits:
    """5,000 training digits, 500 a class, and 1,000 test digits, 100 a class."""
    with (files("stn_ref.data") / "digits.npz").open("rb") as file, np.load(file) as arrays:
        images = {name: arrays[name][..., None] / 255.0 for name in ("x_train", "x_test")}
        labels = {name: arrays[name].astype(np.int64) for name in ("y_train", "y_test")}
    return Digits(**images, **labels)
