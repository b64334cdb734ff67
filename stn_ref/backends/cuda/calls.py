"""Eqs. 3, 6 and 7 on a GPU, once it is known that there is one: arrays taken, kernels started."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from stn_ref.backends.call import Call
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
from stn_ref.backends.host import coefficients, theta_gradient
from stn_ref.equations.arguments import Array
from stn_ref.equations.lattice import centre

__all__ = ["evaluate", "evaluate_backward", "on_host", "shadow"]


def evaluate(call: Call) -> Any:
    """V of Eq. 3."""
    U, u = call.given.U, call.U
    kind = _together({"U": U} if call.xy is None else {"U": U, "xy": call.given.xy})
    with current(kind, U) as stream:
        V = Result(kind, U, (len(u), *call.size, u.shape[-1]), u.dtype)
        there = flat("U", U, stream)
        work.run_forward(there, V, _source(call, stream), _sampling(call), u.dtype, stream)
        return V.give(stream)


def evaluate_backward(call: Call) -> Any:
    """dU, and dxy and dPhi of Eqs. 6 and 7; or dU and dtheta."""
    U, xy, _, dV = call.given
    if call.xy is None:
        return _through_theta(call)
    kind = _together({"dV": dV, "U": U, "xy": xy})
    with current(kind, U) as stream:
        dU = Result(kind, U, call.U.shape, call.U.dtype)
        dxy = Result(kind, U, call.xy.shape, call.xy.dtype, dense=True)
        _, dPhi = _back(call, dU, stream, dxy.flat.memory)
        ends = np.cumsum([len(k.Phi) for k in call.kernels])[:-1]
        parts = (like_caller(kind, part, U) for part in np.split(dPhi, ends))
        return dU.give(stream), dxy.give(stream), tuple(parts)


def _through_theta(call: Call) -> tuple[Any, Any]:
    """dU and dtheta."""
    U, _, theta, dV = call.given
    kind = _together({"dV": dV, "U": U})
    with current(kind, U) as stream:
        # the points' gradients: in U's precision on the way to a matrix, else to the host in double
        many = call.axes * len(call.U) * prod(call.size)
        dU = Result(kind, U, call.U.shape, call.U.dtype)
        dxy = dU.scratch(many, call.U.dtype if call.by_matrix else np.float64)
        dA, _ = _back(call, dU, stream, dxy)
        if call.by_matrix:
            dtheta = theta_gradient(dA, call)
        else:
            pulls = work.fetched(dxy, stream)[:many]
            dtheta = call.theta_gradient(pulls.reshape(len(call.U), *call.size, call.axes))
        return dU.give(stream), like_caller(library(theta), dtheta, theta)


def _back(call: Call, dU: Result, stream: Any, dxy: Any) -> tuple[Array, Array]:
    """Fill dU and dxy; the sums over points, on the host."""
    if call.U.size:
        cleared(dU.flat.memory, stream)
    source = _source(call, stream)
    there, back = flat("U", call.given.U, stream), flat("dV", call.given.dV, stream)
    rest = _sampling(call), call.U.dtype, stream, dxy, call.deterministic
    return work.run_backward(back, there, dU, source, *rest)


def _sampling(call: Call) -> Sampling:
    """The options that kernels are made for."""
    return Sampling(call.kernels, call.padding, call.fill, call.tie)


def _source(call: Call, stream: Any) -> work.Source:
    """Source points: the caller's, the centred formula's coefficients, or a grid of the host's."""
    if call.xy is not None:
        return from_grid(call.given.xy, call.xy.dtype, stream)
    if not call.by_matrix:
        return from_grid(call.points(), np.float64, stream)
    rows = coefficients(call)
    centres = [centre(s) for s in (*call.source[::-1], *call.size[::-1])]
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
