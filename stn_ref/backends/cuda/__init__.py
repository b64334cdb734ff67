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
from numpy.typing import ArrayLike

from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.sampler import Kernels


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


def sample(
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    deterministic: bool = True,
) -> Array:
    """Eq. 3; see `stn_ref.sample`. V is where U is."""
    return _calls().sample(U, xy, _options(kernel, padding, fill, deterministic))


def sample_backward(
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    deterministic: bool = True,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Eqs. 6 and 7; see `stn_ref.sample_backward`. dU, dxy and dΦ are where U is."""
    options = _options(kernel, padding, fill, deterministic, tie)
    return _calls().sample_backward(dV, U, xy, options)


def transform(
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    align_corners: bool = True,
    deterministic: bool = True,
) -> Array:
    """θ straight to V; see `stn_ref.transform`. θ itself is read on the host."""
    options = _options(kernel, padding, fill, deterministic)
    return _calls().transform(U, theta, transformation, size, options, align_corners)


def transform_backward(
    dV: ArrayLike,
    U: ArrayLike,
    theta: ArrayLike,
    *,
    transformation: Transformation = AFFINE,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    align_corners: bool = True,
    deterministic: bool = True,
) -> tuple[Array, Array]:
    """The way back; see `stn_ref.transform_backward`."""
    options = _options(kernel, padding, fill, deterministic, tie)
    return _calls().transform_backward(dV, U, theta, transformation, options, align_corners)


def _options(*given: Any) -> Any:
    """What the functions behind take together."""
    return _calls().Options(*given)


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
