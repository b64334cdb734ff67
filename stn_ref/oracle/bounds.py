"""How far a correct evaluation in a given precision may be from the exact value, by element.

Two things go wrong in a correct implementation. It rounds the source coordinate; δ says by how
much, and the value or gradient may then be any that Eqs. 3, 6, 7 give within δ, on either side of a
knot or of a rounding tie. And it rounds weights, products and sums: c roundings of terms that are
at most |U_nm| each. What is here bounds both, for any order of the same operations.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np

from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array
from stn_ref.oracle.sampling import Sampling

MAP_ROUNDINGS = 4  # on the way from a grid to a pixel coordinate: +1, ·S, −1, and one fold
ROUNDINGS = {"integer": 0, "bilinear": 8, "keys": 24}  # of a term of Eq. 3, weights included
STEEPEST = {"integer": 0.0, "bilinear": 1.0, "keys": 1.5}  # max |k′|
F = TypeVar("F", bound=Callable[..., Any])
WILD = 0.25  # pixels; a coordinate that uncertain may be anywhere


class Expected(NamedTuple):
    """The value in float64, and for each element how far a correct result may be from it."""

    value: Array
    bound: Array


class Known(NamedTuple):
    """What the oracle knows of a dialect's function."""

    analysis: Callable[..., Any]  # its arguments ↦ an Expected, or a tuple of them
    translation: Callable[..., Sampling]  # the forward function's arguments ↦ the call in our terms


_known: dict[Callable[..., Any], Known] = {}
_backward: dict[Callable[..., Any], Callable[..., Any]] = {}


def bounded_by(
    analysis: Callable[..., Any],
    translation: Callable[..., Sampling],
    forward: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Tell `expected` how a function is analysed; `forward` is the one whose gradient it is."""

    def remember(function: F) -> F:
        _known[function] = Known(analysis, translation)
        if forward is not None:
            _backward[forward] = function
        return function

    return remember


def known(function: Callable[..., Any]) -> Known:
    """What the oracle knows; TypeError if the function is none of a dialect's."""
    if function not in _known:
        names = sorted(f"{f.__module__}.{f.__name__}" for f in _known)
        raise TypeError(f"{function!r} has no bounds; these have: {', '.join(names)}")
    return _known[function]


def backward_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of a dialect's function."""
    return _backward[function]


def expected(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a dialect's function should give, and how exactly, in its first array's precision.

    function  of a dialect, such as `stn_ref.oracle.torch.grid_sample`, or its `_backward`
    Returns an Expected, or a tuple of them where the function returns a tuple.
    Raises TypeError if the function is none of a dialect's.
    """
    return known(function).analysis(*args, **kwargs)


def value_and_bound(s: Sampling, eps: float) -> Expected:
    """V and its bound, (B, H', W', C)."""
    V, wild = s.value(), _uncertain(s, eps)
    moved = [abs(s.value(p) - V) for p in _beside(s, eps)]
    far = np.max(moved, axis=0)
    bound = far + _rounding(s, eps) * _reach(s, eps) + eps * (abs(V) + far)
    largest = abs(s.U).max(axis=(1, 2), initial=abs(s.fill))[:, None, None] * 4
    bound = np.where(wild[..., None], largest, bound)
    return Expected(V, np.where(np.isnan(V), 0.0, bound))


def gradients_and_bounds(s: Sampling, dV: Array, eps: float) -> tuple[Expected, Expected]:
    """dU and the coordinates' gradient, each with its bound."""
    dU, dgrid = s.gradient(dV)
    wild, steep = _uncertain(s, eps), STEEPEST[s.kernel.name]
    beside = list(_beside(s, eps))
    moved = [abs(s.gradient(dV, p)[1] - dgrid) for p in beside]
    pull = np.sum(abs(dV) * _reach(s, eps), axis=-1, keepdims=True) * abs(np.array(s.slope))
    terms = (_rounding(s, eps) + eps * s.U.shape[-1]) * max(steep, 1.0)
    far = np.max(moved, axis=0)
    bound = far + terms * pull * (steep > 0) + eps * (abs(dgrid) + far)
    most = 4 * abs(s.U).max(initial=abs(s.fill)) * np.sum(abs(dV), axis=-1, keepdims=True)
    bound = np.where(wild[..., None], most * abs(np.array(s.slope)) * steep, bound)
    bound = np.where(np.isnan(dgrid), 0.0, bound)

    box = s._replace(kernel=_box(s, eps))
    slack = _rounding(s, eps) + eps + steep * np.sum(_delta(s, eps), axis=-1, keepdims=True)
    slack = np.where(np.isfinite(slack), slack, 0.0)
    share, _ = box.gradient(abs(dV) * slack)
    terms, _ = box.gradient(abs(dV))
    count, _ = box.gradient(np.ones_like(dV))
    dU_bound = share + eps * np.maximum(count - 1, 0) * terms
    if s.rounds:
        xy, _ = s.moved(s.p)
        torn = np.any([np.any(s.moved(p)[0] != xy, axis=-1) for p in beside], axis=0)
        either = abs(dV) * torn[..., None]
        landing = sum(s.gradient(either, p)[0] for p in (s.p, *beside))
        dU_bound = dU_bound + landing * (1 + eps * np.prod(dV.shape[1:3]))
    anywhere = np.sum(abs(dV) * wild[..., None], axis=(1, 2), keepdims=True)
    return Expected(dU, dU_bound + anywhere + eps * abs(dU)), Expected(dgrid, bound)


def _delta(s: Sampling, eps: float) -> Array:
    """By how much a pixel coordinate may be off, (B, H', W', 2); not finite where it is not."""
    if s.exact:
        return np.zeros_like(s.p)
    return MAP_ROUNDINGS * eps * (abs(s.p) + s.sizes)


def _uncertain(s: Sampling, eps: float) -> Array:
    """Where a coordinate may be anywhere; not where it is surely beyond an edge that stops it."""
    delta, support = _delta(s, eps), s.kernel.support + 1
    with np.errstate(invalid="ignore"):
        beyond = (s.p - delta > np.add(s.sizes, support)) | (s.p + delta < -support - 1)
    stopped = beyond & (not s.folds)
    found: Array = np.any((delta > WILD) & np.isfinite(s.p) & ~stopped, axis=-1)
    return found


def _beside(s: Sampling, eps: float) -> Any:
    """The coordinates, each as far off as it may be: four corners."""
    delta = np.where(np.isfinite(s.p), _delta(s, eps), 0.0)
    for signs in product((-1.0, 1.0), repeat=2):
        yield s.p + delta * signs


def _rounding(s: Sampling, eps: float) -> float:
    return ROUNDINGS[s.kernel.name] * eps


def _reach(s: Sampling, eps: float) -> Array:
    """Σ|U_nm| over the taps in the support, (B, H', W', C)."""
    found = s._replace(kernel=_box(s, eps), fill=abs(s.fill)).value(U=abs(s.U))
    return np.where(np.isnan(found), 0.0, found)


def _box(s: Sampling, eps: float) -> Kernel:
    """1 where the kernel is not 0, and as far beyond as a coordinate may be off."""
    delta = _delta(s, eps)
    support = s.kernel.support + 0.01 + min(delta[np.isfinite(delta)].max(initial=0.0), WILD)

    def k(t: Any, Phi: Any) -> Any:
        return (abs(t) < support) * 1.0

    def dk(t: Any, Phi: Any) -> Any:
        return 0.0 * t

    def dk_dphi(t: Any, Phi: Any) -> Any:
        return ()

    return Kernel("box", (), k, dk, dk_dphi, support)
