"""What may be passed in: dtypes, shapes and names, each checked where a public function begins."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stn_ref.equations.kernels import BILINEAR, Kernel

Array: TypeAlias = NDArray[Any]
Size: TypeAlias = tuple[int, ...]

FLOATS = (np.float32, np.float64, np.longdouble)
SIDES, COORDINATES = ("D", "H", "W"), ("x", "y", "z")  # of an array, and of a point in it
FEW = 4  # the last axis, if no longer, is taken for channels
KINDS = {1: "signal", 2: "map", 3: "volume"}
SIZES = {
    1: "one integer, (width,)",
    2: "two integers, (height, width)",
    3: "three integers, (depth, height, width)",
    None: "two integers, (height, width), or one or three of them",
}


def sides(axes: int) -> tuple[str, ...]:
    """The output's: W', or H' and W', or D', H' and W'."""
    return tuple(f"{side}'" for side in SIDES[-axes:])


def coordinates(axes: int) -> str:
    """(x), (x, y) or (x, y, z): the last side's comes first."""
    return f"({', '.join(COORDINATES[:axes])})"


def floating(name: str, value: ArrayLike) -> Array:
    """The array itself, or a TypeError that names the cast."""
    array = np.asarray(value)
    if array.dtype.type not in FLOATS:
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected float32 or float64: "
            "cast it, say with np.asarray(…).astype(np.float64)"
        )
    return array


def like(name: str, array: Array, other_name: str, other: Array) -> Array:
    """A gradient or a tangent has the dtype of its array."""
    if array.dtype.type is not other.dtype.type:
        raise TypeError(
            f"{name} has dtype {array.dtype} and {other_name} has {other.dtype}; they must agree: "
            f"cast {name} with {name}.astype(np.{other.dtype.name})"
        )
    return array


def shaped(name: str, value: ArrayLike, expected: Sequence[int | str]) -> Array:
    """A floating array of this shape; an axis given as a letter may have any length."""
    array = floating(name, value)
    if not _fits(array.shape, expected):
        wanted = ", ".join(str(axis) for axis in expected) + ("," if len(expected) == 1 else "")
        raise ValueError(
            f"{name} has shape {array.shape}; expected ({wanted}){_cure(name, array, expected)}"
        )
    return array


def _fits(shape: Size, expected: Sequence[int | str]) -> bool:
    if len(shape) != len(expected):
        return False
    for got, want in zip(shape, expected, strict=True):  # a loop: every call comes through here
        if got != want and not isinstance(want, str):
            return False
    return True


def _cure(name: str, array: Array, expected: Sequence[int | str]) -> str:
    """What to do about the usual slips, a batch axis forgotten and channels first; often ""."""
    shape, gradient = array.shape, name in ("dV", "dy")
    if (gradient or expected[:1] == ("B",)) and _fits((1, *shape), expected):
        return f": add the batch axis with {name}[None]"
    if not gradient or array.ndim != len(expected) or array.ndim < 3:
        return ""
    last = (0, *range(2, array.ndim), 1)
    if _fits(tuple(shape[a] for a in last), expected):
        return f": move the channels last with {name}.transpose{last}"
    if name == "dV" and shape[-1] <= FEW < int(expected[-1]):
        return f"; if U has its channels first, move them last with U.transpose{last}"
    return ""


def tangent(name: str, value: ArrayLike, of: str, array: Array) -> Array:
    """A tangent has the shape and the dtype of the array along which it points."""
    return like(name, shaped(name, value, array.shape), of, array)


def feature_map(U: ArrayLike, axes: int | None = None) -> Array:
    """U (B, H, W, C), a signal (B, W, C) or a volume (B, D, H, W, C); B and C may be 0.

    axes  how many between B and C; None for any of these
    """
    array = floating("U", U)
    if array.ndim == 2 and axes is None:
        raise ValueError(
            f"U has shape {array.shape}; expected (B, H, W, C): {one_axis_less(array)}"
        )
    axes = axes or (array.ndim - 2 if array.ndim in (3, 4, 5) else 2)
    array = shaped("U", array, ("B", *SIDES[-axes:], "C"))
    if 0 in array.shape[1:-1]:
        least = " and ".join(SIDES[-axes:])
        raise ValueError(f"U has shape {array.shape}; {least} must be at least 1")
    return array


def one_axis_less(U: Array) -> str:
    """What U may have lost. Few numbers along its last axis are channels; many may be pixels."""
    if U.shape[-1] <= FEW:
        return "it seems to have no batch axis, use U[None]"
    if U.ndim == 2:
        return "it seems to have no batch axis and no channels, use U[None, ..., None]"
    return "it seems to have no batch axis, use U[None], or no channels, use U[..., None]"


def points(name: str, value: ArrayLike, axes: int, batch: int | None = None) -> Array:
    """(B, H', W', 2), last axis (x, y), of as many axes and the same batch as the feature map."""
    array = floating(name, value)
    if array.ndim != axes + 2 or array.shape[-1] != axes:
        wanted, cure = ", ".join(("B", *sides(axes), str(axes))), ""
        if array.ndim == axes + 1 and array.shape[-1] == axes:
            cure = f": add the batch axis with {name}[None]"
        elif batch is not None and (array.ndim, array.shape[-1]) == (axes + 3, axes + 1):
            cure = f", for U is a {KINDS[axes]}: if it has no batch axis, use U[None]"
        raise ValueError(
            f"{name} has shape {array.shape}; expected ({wanted}), last axis {axes}, "
            f"{coordinates(axes)}{cure}"
        )
    if batch is not None and len(array) != batch:
        raise ValueError(f"{name} has batch {len(array)} and U has {batch}; they must be equal")
    return array


def theta_and_lattice(
    theta: ArrayLike, G: ArrayLike, parameters: Sequence[int], axes: int | None
) -> tuple[Array, Array]:
    """θ (B, *parameters) and G (H', W', 2) or (B, H', W', 2), where axes is 2; None for any."""
    theta, G = shaped("theta", theta, ("B", *parameters)), floating("G", G)
    axes = axes or (G.shape[-1] if G.shape[-1:] in ((1,), (3,)) else 2)
    if G.ndim not in (axes + 1, axes + 2) or G.shape[-1] != axes:
        one = ", ".join((*sides(axes), str(axes)))
        raise ValueError(f"G has shape {G.shape}; expected ({one}) or (B, {one})")
    if G.ndim == axes + 2 and len(G) != len(theta):
        raise ValueError(f"G has batch {len(G)} and theta has {len(theta)}; they must be equal")
    return theta, G


def tangents(theta_dot: ArrayLike, G_dot: ArrayLike, theta: Array, G: Array) -> tuple[Array, Array]:
    """Those of θ and G."""
    return tangent("theta_dot", theta_dot, "theta", theta), tangent("G_dot", G_dot, "G", G)


def number_of_axes(axes: object) -> int:
    """1, 2 or 3."""
    if isinstance(axes, bool) or not isinstance(axes, int | np.integer) or not 1 <= axes <= 3:
        raise ValueError(f"axes is {axes!r}; expected 1, 2 or 3")
    return int(axes)


def whole_size(size: object, axes: int | None = 2, *, least: int = 0) -> Size:
    """Whole numbers, one an axis, (height, width) for two; axes is None for one to three."""
    if (
        not isinstance(size, Sequence | np.ndarray)
        or np.shape(size) not in ([(1,), (2,), (3,)] if axes is None else [(axes,)])
        or not all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in size)
    ):
        raise TypeError(f"size is {size!r}; expected {SIZES[axes]}")
    if min(size) < least:
        raise ValueError(f"size is {tuple(size)}; each must be at least {least}")
    return tuple(int(s) for s in size)


def whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """A whole number within these."""
    within = f"from {least} to {most}" if most is not None else f"of at least {least}"
    message = f"{name} is {value!r}; expected an integer {within}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(message)
    if value < least or (most is not None and value > most):
        raise ValueError(message)
    return int(value)


def choice(name: str, value: object, options: Sequence[str]) -> str:
    """One of the names."""
    if value not in options or not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, options))}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False, not merely truthy: `align_corners="false"` is a mistake."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def number(name: str, value: object) -> float:
    """A finite real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; expected a number")
    try:
        finite = float(value)
    except OverflowError:
        finite = np.inf
    if not np.isfinite(finite):
        raise ValueError(f"{name} is {value!r}; expected a finite number")
    return finite


def generator(rng: object) -> np.random.Generator:
    """Where randomness comes from."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {rng!r}; expected a numpy.random.Generator")
    return rng


def fill_value(fill: object, padding: str) -> float:
    """The value outside the plane; anything but 0 needs padding="constant"."""
    value = number("fill", fill)
    if value != 0 and padding != "constant":
        raise ValueError(f'fill is {fill!r} with padding={padding!r}; it needs padding="constant"')
    return value


TIES = ("right", "left", "central", "paper")


def per_axis(kernel: Kernel | tuple[Kernel, ...], axes: int = 2) -> tuple[Kernel, ...]:
    """The kernels of x and of y, one Φ each, or of x alone or z too: one kernel serves all."""
    each = tuple(kernel) if isinstance(kernel, tuple | list) else (kernel,) * axes
    if len(each) != axes or not all(isinstance(k, Kernel) for k in each):
        many = ("one", "two", "three")[axes - 1]
        raise TypeError(
            f"kernel is {kernel!r}; expected a Kernel or {many}, one an axis, {coordinates(axes)}"
        )
    return each


def checked_tie(tie: str, kernels: tuple[Kernel, ...]) -> str:
    """The tie; a ValueError if there is none of this name, or none for these kernels."""
    if choice("tie", tie, TIES) == "paper" and any(k != BILINEAR for k in kernels):
        raise ValueError('tie="paper" is Eq. 7 as printed; it needs kernel=BILINEAR on every axis')
    return tie


def phi_tangents(
    Phi_dot: Sequence[Sequence[float]] | None, kernels: tuple[Kernel, ...]
) -> list[tuple[float, ...]]:
    """Φ̇ of every axis, alike in shape to Φ."""
    if Phi_dot is None:
        return [(0.0,) * len(kernel.Phi) for kernel in kernels]
    lengths = [len(kernel.Phi) for kernel in kernels]
    message = f"Phi_dot is {Phi_dot!r}; expected, one an axis, {lengths} numbers"
    try:
        each = [tuple(dots) for dots in Phi_dot]
    except TypeError:
        raise TypeError(message) from None
    if [len(dots) for dots in each] != lengths:
        raise ValueError(message)
    return [tuple(number("Phi_dot", p) for p in dots) for dots in each]


def checked_transformation(transformation: Any) -> Any:
    """The transformation, or a TypeError if it lacks what each must have."""
    for name in ("identity", "grid", "grid_backward"):
        if not hasattr(transformation, name):
            raise TypeError(f"transformation is {transformation!r}; expected one such as AFFINE")
    return transformation


def a_pair(name: str, l: int, layer: object) -> tuple[ArrayLike, ArrayLike]:
    """The W and b of a layer."""
    if not isinstance(layer, tuple | list) or len(layer) != 2:
        raise TypeError(f"{name}[{l}] is a {type(layer).__name__}; expected a pair (W, b)")
    return layer[0], layer[1]
