"""The door: the four functions, on the backend that fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stn_ref import backends
from stn_ref.backends.contract import Backend
from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.sampler import Kernels


def sample(
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    backend: str = "auto",
    deterministic: bool = True,
) -> Array:
    """Sample a feature map at source points.

        V_i^c = Σ_n Σ_m U_nm^c k(x_i − m; Φ_x) k(y_i − n; Φ_y)                Eq. 3

    U        (B, H, W, C)    input feature map
    xy       (B, H', W', 2)  source points, pixels, (x, y), centres at 0..W−1 and 0..H−1
    kernel   one Kernel, or two for (x, y)
    padding  what lies outside: "zeros", "constant" (fill), "border", "reflection" (about the edge
             pixel), "symmetric" (about its edge) or "wrap"
    backend  a name of `stn_ref.backends.BACKENDS`, or "auto": "cuda" if U lies on a GPU, else "cpu"
    deterministic  whether every run gives the same bits; on the CPU it always does, on CUDA dU then
             costs two passes more
    Signals (B, W, C) and volumes (B, D, H, W, C) have points (x) and (x, y, z), and one kernel or
    three; see `stn_ref.equations.sample`.
    Returns V (B, H', W', C), in U's dtype and memory layout.
    Raises TypeError or ValueError if an argument has another form.
    """
    return _backend(backend, U).sample(
        U, xy, kernel=kernel, padding=padding, fill=fill, deterministic=deterministic
    )


def sample_backward(
    dV: ArrayLike,
    U: ArrayLike,
    xy: ArrayLike,
    *,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    backend: str = "auto",
    deterministic: bool = True,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """The gradients of `sample`: Eq. 6, Eq. 7, and that of the kernels' Φ.

    dV   (B, H', W', C)  loss gradient at V, in U's dtype
    tie  which derivative in x and y on a knot: "right", "left", their mean "central",
         or "paper", Eq. 7 as printed (BILINEAR only)
    kernel, padding, fill, backend, deterministic as in `sample`
    Returns dU in U's dtype and layout, dxy in xy's dtype, and dPhi = (dPhi_x, dPhi_y), one array of
    len(Φ) an axis, float64, summed over the batch.
    Raises TypeError or ValueError if an argument has another form.
    """
    return _backend(backend, U).sample_backward(
        dV,
        U,
        xy,
        kernel=kernel,
        padding=padding,
        fill=fill,
        tie=tie,
        deterministic=deterministic,
    )


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
    backend: str = "auto",
    deterministic: bool = True,
) -> Array:
    """Warp a feature map by T_θ: §3.2 and §3.3 in one call, θ straight to V.

    U               (B, H, W, C)            input feature map
    theta           (B, *identity().shape)  parameters of the transformation
    transformation  AFFINE, another of `stn_ref.equations`, or your own Transformation
    size            (H', W') of the output, U's if None
    align_corners   whether ±1 are the corner pixels' centres or their outer edges
    kernel, padding, fill, backend, deterministic as in `sample`; signals and volumes too, with
    `affine(1)` and `affine(3)` or others of their axes
    Returns V (B, H', W', C), in U's dtype and layout. At the identity of a transformation with a
    matrix, at U's size and with a kernel that interpolates, V equals U bit for bit.
    Raises TypeError or ValueError if an argument has another form.
    """
    return _backend(backend, U).transform(
        U,
        theta,
        transformation=transformation,
        size=size,
        kernel=kernel,
        padding=padding,
        fill=fill,
        align_corners=align_corners,
        deterministic=deterministic,
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
    backend: str = "auto",
    deterministic: bool = True,
) -> tuple[Array, Array]:
    """The gradients of `transform`; the output's size is dV's.

    dV   (B, H', W', C)  loss gradient at V, in U's dtype
    tie  which derivative on a knot, as in `sample_backward`; the rest as in `transform`
    Returns dU in U's dtype and layout, and dtheta in theta's dtype and shape.
    Raises TypeError or ValueError if an argument has another form.
    """
    return _backend(backend, U).transform_backward(
        dV,
        U,
        theta,
        transformation=transformation,
        kernel=kernel,
        padding=padding,
        fill=fill,
        tie=tie,
        align_corners=align_corners,
        deterministic=deterministic,
    )


def _backend(name: str, U: ArrayLike) -> Backend:
    """The backend of this name; "auto" is the one for the memory in which U lies."""
    return backends.get(name if name != "auto" else "cuda" if _on_gpu(U) else "cpu")


def _on_gpu(array: object) -> bool:
    if isinstance(array, np.ndarray):
        return False
    array = array.detach() if hasattr(array, "detach") else array  # torch's, which want gradients
    cuda = 2  # DLPack's number for it
    device = getattr(array, "__dlpack_device__", None)
    return hasattr(array, "__cuda_array_interface__") or bool(device and device()[0] == cuda)
