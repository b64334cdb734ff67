"""The four functions, once it is known that there is a GPU: arguments checked, kernels started."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from stn_ref.backends.cuda import work
from stn_ref.backends.cuda.arrays import (
    Result,
    cleared,
    current,
    flat,
    library,
    like_caller,
    on_host,
    shadow,
)
from stn_ref.backends.cuda.work import Sampling, from_grid, from_matrix
from stn_ref.backends.host import (
    checked_map,
    checked_theta,
    coefficients,
    double_at_most,
    theta_gradient,
)
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.equations import Transformation
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_tie,
    fill_value,
    flag,
    like,
    per_axis,
    points,
    shaped,
    sides,
    whole_size,
)
from stn_ref.equations.lattice import centre
from stn_ref.equations.padding import padding_rule
from stn_ref.equations.sampler import Kernels
from stn_ref.equations.transformation import has_matrix


class Options(NamedTuple):
    """What a caller wants of Eq. 3 and of its gradients."""

    kernel: Kernels
    padding: str
    fill: float
    deterministic: bool
    tie: str = "right"

    def checked(self, axes: int) -> Sampling:
        """The options, for so many axes."""
        flag("deterministic", self.deterministic)
        kernels = per_axis(self.kernel, axes)
        padding_rule(self.padding)
        fill = fill_value(self.fill, self.padding)
        return Sampling(kernels, self.padding, fill, checked_tie(self.tie, kernels))


def sample(U: Any, xy: Any, wanted: Options) -> Any:
    """V of Eq. 3."""
    u, at, options = _points(U, xy, wanted)
    kind = _together({"U": U, "xy": xy})
    with current(kind, U) as stream:
        V = Result(kind, U, (*at.shape[:-1], u.shape[-1]), u.dtype)
        source = from_grid(xy, at.dtype, stream)
        work.run_forward(flat("U", U, stream), V, source, options, u.dtype, stream)
        return V.give(stream)


def sample_backward(dV: Any, U: Any, xy: Any, wanted: Options) -> Any:
    """dU, dxy and dPhi of Eqs. 6 and 7."""
    u, at, options = _points(U, xy, wanted)
    like("dV", shaped("dV", shadow(dV), (*at.shape[:-1], u.shape[-1])), "U", u)
    kind = _together({"dV": dV, "U": U, "xy": xy})
    with current(kind, U) as stream:
        dU = Result(kind, U, u.shape, u.dtype)
        dxy = Result(kind, U, at.shape, at.dtype, dense=True)
        source = from_grid(xy, at.dtype, stream)
        _, dPhi = _back(dV, U, dU, source, options, stream, dxy.flat.memory, wanted.deterministic)
        ends = np.cumsum([len(k.Phi) for k in options.kernels])[:-1]
        parts = (like_caller(kind, part, U) for part in np.split(dPhi, ends))
        return dU.give(stream), dxy.give(stream), tuple(parts)


def transform(
    U: Any, theta: Any, transformation: Transformation, size: Size | None, wanted: Options,
    align_corners: bool,
) -> Any:  # fmt: skip
    """V straight from θ."""
    u, parameters, options = _parameters(U, theta, transformation, wanted)
    kind, source_size = _together({"U": U}), u.shape[1:-1]
    size = source_size if size is None else whole_size(size, len(source_size))
    flag("align_corners", align_corners)
    with current(kind, U) as stream:
        V = Result(kind, U, (len(u), *size, u.shape[-1]), u.dtype)
        source = _source(parameters, transformation, size, source_size, align_corners, stream)
        work.run_forward(flat("U", U, stream), V, source, options, u.dtype, stream)
        return V.give(stream)


def transform_backward(
    dV: Any, U: Any, theta: Any, transformation: Transformation, wanted: Options,
    align_corners: bool,
) -> Any:  # fmt: skip
    """dU and dtheta."""
    u, parameters, options = _parameters(U, theta, transformation, wanted)
    axes = u.ndim - 2
    dv = like("dV", shaped("dV", shadow(dV), (len(u), *sides(axes), u.shape[-1])), "U", u)
    flag("align_corners", align_corners)
    kind, source_size, size = _together({"dV": dV, "U": U}), u.shape[1:-1], dv.shape[1:-1]
    with current(kind, U) as stream:
        source = _source(parameters, transformation, size, source_size, align_corners, stream)
        matrix = has_matrix(transformation)
        # the points' gradients: in U's precision on the way to a matrix, else to the host in double
        many, dU = axes * len(u) * prod(size), Result(kind, U, u.shape, u.dtype)
        dxy = dU.scratch(many, u.dtype if matrix else np.float64)
        dA, _ = _back(dV, U, dU, source, options, stream, dxy, wanted.deterministic)
        if matrix:
            ends = size, source_size, align_corners
            dtheta = theta_gradient(dA, parameters, transformation, *ends)
        else:
            pulls = work.fetched(dxy, stream)[:many]
            dtheta = source_pixels_backward(
                pulls.reshape(len(u), *size, axes), parameters, transformation, source_size,
                align_corners,
            )  # fmt: skip
        return dU.give(stream), like_caller(library(theta), dtheta, theta)


def _back(
    dV: Any, U: Any, dU: Result, source: work.Source, options: Sampling, stream: Any, dxy: Any,
    deterministic: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """Fill dU and dxy; the sums over points, on the host."""
    u = shadow(U)
    if u.size:
        cleared(dU.flat.memory, stream)
    there, back = flat("U", U, stream), flat("dV", dV, stream)
    return work.run_backward(back, there, dU, source, options, u.dtype, stream, dxy, deterministic)


def _source(
    theta: Array, transformation: Transformation, size: Size, source: Size, align_corners: bool,
    stream: Any,
) -> work.Source:  # fmt: skip
    """Source points: the centred formula's coefficients, or through the grid on the host."""
    if not has_matrix(transformation):
        xy = source_pixels(theta, transformation, size, source, align_corners)
        return from_grid(xy, np.float64, stream)
    rows = coefficients(theta, transformation, size, source, align_corners)
    centres = [centre(s) for s in (*source[::-1], *size[::-1])]
    rows = rows.reshape(len(rows), rows.shape[1] ** 2)
    return from_matrix(np.hstack([rows, np.tile(centres, (len(rows), 1))]))


def _together(arrays: dict[str, Any]) -> str | None:
    """The library of U, when all are on a GPU or all in the host's memory."""
    kinds = {name: library(array) for name, array in arrays.items()}
    here = [name for name, kind in kinds.items() if kind is None]
    if here and len(here) < len(kinds):
        there = [name for name in kinds if name not in here]
        raise TypeError(f"{', '.join(here)} in the host's memory and {', '.join(there)} on a GPU")
    devices = {n: str(a.device) for n, a in arrays.items() if kinds[n] in ("torch", "cupy")}
    if len(set(devices.values())) > 1:
        raise ValueError(f"arrays are on several GPUs: {devices}; they must be on one")
    return kinds["U"]


def _points(U: Any, xy: Any, wanted: Options) -> tuple[Array, Array, Sampling]:
    """U and xy to be looked at, and the options."""
    u = checked_map(shadow(U), "cuda")
    at = double_at_most("xy", points("xy", shadow(xy), u.ndim - 2, len(u)), "cuda")
    return u, at, wanted.checked(u.ndim - 2)


def _parameters(
    U: Any, theta: Any, transformation: Transformation, wanted: Options
) -> tuple[Array, Array, Sampling]:
    """U to be looked at, θ on the host, and the options."""
    u = checked_map(shadow(U), "cuda")
    theta = checked_theta(on_host(theta), u, transformation, "cuda")
    return u, theta, wanted.checked(u.ndim - 2)
