"""Checks of what a dialect's function is given, and the way back to its layout and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations.arguments import SIDES, Array, sides


def real(name: str, value: ArrayLike) -> Array:
    """An array of float16, float32 or float64; TypeError if it is not."""
    array = np.asarray(value)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{name} has dtype {array.dtype}; expected float16, float32 or float64")
    return array


def planar_images(name: str, value: ArrayLike, axes: tuple[int, ...]) -> Array:
    """(N, C, H, W) as (N, H, W, C), float64; ValueError if it is not, or its planes are empty.

    axes  how many there may be after C: D, H and W, or the last of them
    """
    array = real(name, value)
    if array.ndim - 2 not in axes or 0 in array.shape[2:]:
        forms = " or ".join(f"(N, C, {', '.join(SIDES[-a:])})" for a in axes)
        raise ValueError(f"{name} has shape {array.shape}; expected {forms}, no side 0")
    return np.moveaxis(array, 1, -1).astype(np.float64)


def channels_last(name: str, value: ArrayLike) -> Array:
    """(B, H, W, C); ValueError if it is not, or its planes are empty."""
    array = real(name, value)
    if array.ndim != 4 or 0 in array.shape[1:3]:
        raise ValueError(f"{name} has shape {array.shape}; expected (B, H, W, C), H and W not 0")
    return array


def grid_of(name: str, value: ArrayLike, batch: int, dtype: np.dtype[Any], axes: int = 2) -> Array:
    """(N, H', W', 2) of this batch and dtype; of other axes (N, W', 1) or (N, D', H', W', 3)."""
    array = real(name, value)
    if array.ndim != axes + 2 or array.shape[0] != batch or array.shape[-1] != axes:
        wanted = ", ".join((*sides(axes), str(axes)))
        raise ValueError(f"{name} has shape {array.shape}; expected ({batch}, {wanted})")
    if array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype} and the images {dtype}; they must agree")
    return array


def gradient_like(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The gradient of something of this shape, float64; ValueError if it has another."""
    array = real(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}")
    return array.astype(np.float64)


def switch(name: str, value: object) -> bool:
    """A truth value: None, False and 0, or True and 1."""
    if value is None or (isinstance(value, bool | np.bool_ | int) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} is {value!r}; expected True or False")


def cast(array: Array, dtype: Any) -> Array:
    """An array in a function's dtype; in an integer one rounded half to even, and kept in range."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            array = np.clip(np.rint(np.nan_to_num(array)), limits.min, limits.max)
        return array.astype(dtype)


def arithmetic(dtype: Any) -> Any:
    """The precision that images of a dtype are sampled in; for integers float32."""
    return np.float32 if np.issubdtype(dtype, np.integer) else dtype


def unit_roundoff(dtype: Any) -> float:
    """Half the distance from 1 to the next number of that precision."""
    return float(np.finfo(arithmetic(dtype)).eps) / 2
