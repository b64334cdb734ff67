"""The CUDA backend: Eqs. 3 to 7 as numba.cuda kernels, one thread a point, the same bits always.

`forward`, `pulls` (Eq. 7) and `scatter` (Eq. 6) are the loops, written for volumes and compiled
without the axes that a map or a signal does not have; `sums` is what is added over points;
`points` says where an output pixel comes from, `taps` what each tap weighs, `rows` and `lowering`
turn a kernel's functions into functions of one precision. `calls` checks the arguments, `work`
starts the kernels in order, `arrays` brings arrays in and out, wherever they lie.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

from stn_ref.backends.call import Call
from stn_ref.equations.arguments import Array

LONGDOUBLE = False


def why_not() -> str:
    """Why it cannot run here, and what to do about it; "" if it can."""
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install 'stn_ref[cuda]'"
    try:
        cuda = numba_cuda()
    except Exception as error:  # numba-cuda before 0.30.4 does not import with Numba 0.66 and on
        versions = " and ".join(f"{n} {metadata.version(n)}" for n in ("numba-cuda", "numba"))
        reason = f"{type(error).__name__}: {error}"
        return f"{versions} do not load ({reason}): pip install 'stn_ref[cuda]'"
    if cuda.implementation != "NVIDIA":
        return (
            "numba.cuda is Numba's own and not numba-cuda's, which lies outside of "
            "site-packages: import _numba_cuda_redirector before numba.cuda"
        )
    if cuda.is_available():
        return ""
    trouble = cuda.cuda_error()
    if not trouble:
        return "NVVM, the compiler, was not found: pip install 'stn_ref[cuda]', or set CUDA_HOME"
    return (
        f"no NVIDIA GPU with a driver was found ({' '.join(str(trouble).split())}): it needs both "
        "(nvidia-smi shows them), and pip install 'stn_ref[cuda]'"
    )


def is_available() -> bool:
    """Whether there is a GPU and what is needed to compile for it."""
    return not why_not()


def look(array: Any) -> Array:
    """The array, or one of its shape and dtype that takes no memory."""
    return _calls().shadow(array)


def read(array: Any) -> Array:
    """The array in the host's memory, where θ is looked at."""
    return _calls().on_host(array)


def evaluate(call: Call) -> Any:
    """V of Eq. 3, where U is."""
    return _calls().evaluate(call)


def evaluate_backward(call: Call) -> Any:
    """dU, and dxy and dΦ of Eqs. 6 and 7 or dθ, where U is."""
    return _calls().evaluate_backward(call)


@cache
def _calls() -> Any:
    """The module behind the functions; importing it needs numba.cuda."""
    reason = why_not()
    if reason:
        raise RuntimeError(f"the cuda backend cannot run here: {reason}")
    return import_module("stn_ref.backends.cuda.calls")


def numba_cuda() -> Any:
    """numba.cuda, ready to compile with any NumPy.

    What it loads when it first compiles names np.row_stack, which NumPy 2.5 has no more
    (https://github.com/NVIDIA/numba-cuda/issues/907): so it loads here, and has it for as long.
    """
    cuda = import_module("numba.cuda")
    if hasattr(np, name := "row_stack"):
        return cuda
    setattr(np, name, np.vstack)
    try:
        import_module("numba.cuda.np.arrayobj")
    finally:
        vars(np).pop(name, None)
    return cuda
