"""The CUDA backend: Eqs. 3 to 7 as numba.cuda kernels, one thread a point, the same bits always.

`forward`, `pulls` (Eq. 7) and `scatter` (Eq. 6) are the loops, `sums` what is added over points;
`points` says where an output pixel comes from, `taps` what each tap weighs, `rows` and `lowering`
turn a kernel's functions into functions of one precision. `calls` checks the arguments, `work`
starts the kernels in order, `arrays` brings arrays in and out, wherever they lie.
"""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.sampler import Kernels


def why_not() -> str:
    """Why it cannot run here, and what to install; "" if it can."""
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install 'stn_ref[cuda]'"
    if not hasattr(np, "row_stack"):
        return (
            f"numba-cuda {metadata.version('numba-cuda')} does not compile with NumPy "
            f"{np.__version__}, which has no row_stack: pip install 'numpy<2.5'"
        )
    if not import_module("numba.cuda").is_available():
        return (
            "no NVIDIA GPU with a driver was found: it needs both "
            "(nvidia-smi shows them), and pip install 'stn_ref[cuda]'"
        )
    return ""


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
    sampling = _calls().sampling(kernel, padding, fill)
    return _calls().sample(U, xy, sampling, deterministic)


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
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Eqs. 6 and 7; see `stn_ref.sample_backward`. dU, dxy and dΦ are where U is."""
    sampling = _calls().sampling(kernel, padding, fill, tie)
    return _calls().sample_backward(dV, U, xy, sampling, deterministic)


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
    sampling = _calls().sampling(kernel, padding, fill)
    return _calls().transform(
        U, theta, transformation, size, sampling, align_corners, deterministic
    )


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
    sampling = _calls().sampling(kernel, padding, fill, tie)
    return _calls().transform_backward(
        dV, U, theta, transformation, sampling, align_corners, deterministic
    )


def _calls() -> Any:
    """The module behind the functions; importing it needs numba.cuda."""
    reason = why_not()
    if reason:
        raise RuntimeError(f"the cuda backend cannot run here: {reason}")
    return import_module("stn_ref.backends.cuda.calls")
