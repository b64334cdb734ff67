"""A kernel's row of data, compiled: one C function that fills in k, k′ and ∂k/∂Φ for a chunk.

The loops over points and taps are then compiled once for all kernels, and a row, a user's own too,
costs a small function. Φ is an argument of it, so `hat(1)` and `hat(2)` are one row.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, floor
from threading import Lock
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import carray, literal_unroll, njit, types
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

from stn_ref.backends.cpu.compiling import keep
from stn_ref.backends.identity import identity
from stn_ref.backends.scalars import EPS, LEFT, PAPER, RIGHT
from stn_ref.equations import Kernel
from stn_ref.equations.arguments import Array

CHUNK = 512
DOUBLES = types.CPointer(types.float64)
ROW = types.void(
    types.intp, DOUBLES, types.intp, types.intp, types.float64, types.intp, DOUBLES, DOUBLES
)
VALUES = -1  # instead of a tie: k alone is wanted


# One axis's kernel as the loops take it: the C function's address, Φ, and its taps
# ⌊x⌋ + first … ⌊x⌋ + first + taps − 1, then the support.
Row: TypeAlias = tuple[int, Array, int, int, float]
ABSENT: Row = 0, np.empty(0), 0, 1, 0.5  # of an axis that is not there: its one tap weighs 1


# The names k, dk, dk_dphi, PARAMETERS and NORMALISED are bound anew for every row.
# ruff: noqa: F821


def _row(n, f, first, taps, support, tie, phi, values):
    """k, and if a tie is given k′ and ∂k/∂Φ, at t = f − o for n points and their taps o.

    f (n); values (2 + len(Φ), taps, CHUNK): what Eqs. 3 and 7 ask of a kernel along one axis.
    """
    f, Phi = carray(f, n), to_fixed_tuple(carray(phi, PARAMETERS), PARAMETERS)
    w = carray(values, (2 + PARAMETERS, taps, CHUNK))
    off_knots(f, n, support)
    for o in range(taps):
        for q in range(n):
            w[0, o, q] = k(f[q] - float(first + o), Phi)
    if tie != VALUES:
        for o in range(taps):
            for q in range(n):
                t = f[q] - float(first + o)
                right, left = float(dk(t, Phi)), -float(dk(-t, Phi))
                w[1, o, q] = right if tie == RIGHT else left if tie == LEFT else (right + left) / 2
                if tie == PAPER:
                    w[1, o, q] = (abs(t) < 1) * (1.0 if t <= 0 else -1.0)
                if PARAMETERS:
                    i = 2
                    for slope in literal_unroll(dk_dphi(t, Phi)):
                        w[i, o, q] = slope
                        i += 1
    if NORMALISED:
        for q in range(n):
            total = w[0, :, q].sum()
            inverse = 1 / total if total != 0 else 0.0
            for o in range(taps):
                w[0, o, q] *= inverse
            for i in range(1, 1 if tie == VALUES else 2 + PARAMETERS):
                change = w[i, :, q].sum()
                for o in range(taps):
                    w[i, o, q] = (w[i, o, q] - w[0, o, q] * change) * inverse


@njit
def off_knots(f, n, support):
    """Move fractions next to a knot, and not on it, so far off that no f − o rounds onto it.

    In f the knots of a kernel are 0, ½, 1 and where f − o = ±support; at each a kernel or its slope
    may jump, and 10⁻²⁰ − 1 rounds to −1, from where a left derivative looks into the wrong cell.
    """
    far = 4 * EPS * max(support, 1.0)
    for q in range(n):
        f[q] = min(max(f[q], far), 1 - far) if f[q] > 0 else f[q]
        f[q] = beside(f[q], 0.5, far)
    if 2 * support != np.floor(2 * support):
        for q in range(n):
            f[q] = beside(beside(f[q], support - floor(support), far), ceil(support) - support, far)


@njit
def beside(f, knot, far):
    """f, or knot ± far if it is nearer than that and not on the knot."""
    moved = knot + (far if f > knot else -far)
    return moved if 0 < abs(f - knot) < far else f


_compiled: dict[Any, Any] = {}
_lock = Lock()


def row(kernel: Kernel, *, left: bool) -> Row:
    """The row, compiled if it is new; `left` adds the tap that only a left derivative sees.

    Raises TypeError if Numba cannot compile the kernel's functions.
    """
    # finding it takes longer than a small image does; a Φ that is no tuple has no hash
    return _known(kernel, left) if type(kernel.Phi) is tuple else _row_of(kernel, left)


def _row_of(kernel: Kernel, left: bool) -> Row:
    base, chain = kernel, 0
    while base.normalises is not None:
        base, chain = base.normalises, 1
    functions = (base.k, base.dk, base.dk_dphi)
    key = (*map(identity, functions), len(base.Phi), chain)
    with _lock:
        if key not in _compiled:
            _compiled[key] = _compile(base, bool(chain))
    s = kernel.support
    first, last = (-floor(s) if left else 1 - ceil(s)), ceil(s)
    Phi = np.array(kernel.Phi, np.float64)
    return _compiled[key].address, Phi, first, last - first + 1, s


_known = lru_cache(maxsize=256)(_row_of)


def _compile(kernel: Kernel, normalised: bool) -> Any:
    """A copy of `_row` whose globals are this kernel's functions."""
    functions = {name: getattr(kernel, name) for name in ("k", "dk", "dk_dphi")}
    names = {name: njit(error_model="numpy")(function) for name, function in functions.items()}
    names |= {"PARAMETERS": len(kernel.Phi), "NORMALISED": normalised}
    own = FunctionType(_row.__code__, {**globals(), **names}, "row")
    ours = all(str(f.__module__).startswith("stn_ref.equations.") for f in functions.values())
    cells = [c.cell_contents for f in functions.values() for c in f.__closure__ or ()]
    named = ours and all(isinstance(c, int) for c in cells)
    if named:
        # the cache goes by name: the same code with other globals is another function
        parts = [f.__qualname__.replace("<locals>.", "") for f in functions.values()]
        parts += [f"{c}" for c in cells]
        own.__qualname__ = "-".join(["row", *parts, str(len(kernel.Phi)), str(normalised)])
    compiler = CFunc(own, (ROW.args, ROW.return_type), locals={}, options={})
    if named:
        keep(compiler, own)
    try:
        compiler.compile()
    except NumbaError as error:
        raise TypeError(
            f"kernel {kernel.name} does not compile: its functions take one number t and Φ, a "
            f"tuple, and may use arithmetic, comparisons and NumPy's scalar functions\n{error}"
        ) from error
    return compiler


@intrinsic
def call_row(context, address, n, f, first, taps, support, tie, phi, values):
    """Call the C function of type ROW at this address; arrays go as pointers to their data."""
    arguments = (n, f, first, taps, support, tie, phi, values)

    def generate(context, builder, signature, values):
        wanted = [context.get_value_type(t) for t in ROW.args]
        passed = [
            context.make_array(t)(context, builder, value).data
            if isinstance(t, types.Array)
            else context.cast(builder, value, t, to)
            for value, t, to in zip(values[1:], signature.args[1:], ROW.args, strict=True)
        ]
        pointer = ir.FunctionType(ir.VoidType(), wanted).as_pointer()
        builder.call(builder.inttoptr(values[0], pointer), passed)
        return context.get_dummy_value()

    return types.void(types.intp, *arguments), generate
