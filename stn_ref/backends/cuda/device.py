"""What a CUDA kernel is made of: numba.cuda's functions by one name, on a GPU or in the simulator.

The simulator (NUMBA_ENABLE_CUDASIM=1) runs a kernel as Python, one thread of the machine for each
of the GPU's, and has no libdevice: there NumPy stands for it, and fewer threads do the work.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numba import config, njit

SIMULATED = bool(config.ENABLE_CUDASIM)
THREADS = 2 if SIMULATED else 128  # of a block that sums
ALONE = 1 if SIMULATED else 128  # of a block whose threads have nothing to do with each other
BLOCKS = 2 if SIMULATED else 1 << 16  # at most: a thread goes on to the next piece of work
POINTS_PER_BLOCK = 16 if SIMULATED else 4096  # that one block of a sum takes in


def signed(index: type[Any]) -> Any:
    """The signed type that holds any offset and length where `index` holds any index."""
    return np.int32 if index is np.uint32 else np.int64


def device(function: Callable[..., Any]) -> Any:
    """A function that kernels call."""
    return function if SIMULATED else njit(function)


if SIMULATED:
    mul, add, div = operator.mul, operator.add, operator.truediv
    libdevice = None

    def int_of_float(x):
        return x.view(np.int32)

    def int_of_double(x):
        return x.view(np.int64)

else:
    from numba.cuda import libdevice

    # as written, never fused into one rounding
    mul, add, div = libdevice.dmul_rn, libdevice.dadd_rn, libdevice.ddiv_rn
    int_of_float, int_of_double = libdevice.float_as_int, libdevice.double_as_longlong

# NumPy's functions of one number by libdevice's names; on CUDA most of NumPy's do not compile
NAMES = {
    **{name: name for name in ("floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1", "sqrt")},
    **{name: name for name in ("log", "log2", "log10", "log1p", "cbrt", "tan", "fmod", "hypot")},
    **{name: name for name in ("sinh", "cosh", "tanh", "sinpi", "cospi", "ldexp", "fma")},
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "power": "pow",
    "abs": "fabs",
    "fabs": "fabs",
    "absolute": "fabs",
    "maximum": "fmax",
    "minimum": "fmin",
}


def remainder(number: type[Any]) -> Any:
    """remainder(x, S) for any finite x: x less a multiple of a whole S, exactly; |·| < S.

    On CUDA % rounds the quotient's product, which misses pixels from some 2²⁴ or 2⁵³ on. Fused,
    that product is exact, and so is what it leaves: 2²³ or 2⁵² times less, or less than S.
    """
    fma, trunc = function("fma", number), function("trunc", number)

    @device
    def of(x, S):
        while abs(x) >= S:
            x = fma(-trunc(x / S), S, x)
        return x

    return of


def function(name: str, number: type[Any]) -> Any:
    """NumPy's function of this name for numbers of one precision; sinpi(z) is sin πz."""
    if not SIMULATED:
        return getattr(libdevice, NAMES[name] + ("f" if number is np.float32 else ""))
    if name == "fma":
        return lambda a, b, c: number(float(Fraction(float(a)) * int(b) + Fraction(float(c))))
    if name in ("sinpi", "cospi"):
        outer = math.sin if name == "sinpi" else math.cos
        return lambda z: number(outer(math.pi * z))
    return getattr(np, name)
