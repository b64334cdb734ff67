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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> U = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> stn_ref.sample(U, np.array([[[[0.5, 0.0], [1.0, 0.5]]]])).ravel()
    array([0.5, 2.5])
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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> U, xy = np.arange(6.0).reshape(1, 2, 3, 1), np.array([[[[0.5, 0.25]]]])
    >>> dU, dxy, dPhi = stn_ref.sample_backward(np.ones((1, 1, 1, 1)), U, xy)
    >>> dU[0, :, :, 0], dxy.ravel()
    (array([[0.375, 0.375, 0.   ],
           [0.125, 0.125, 0.   ]]), array([1., 3.]))
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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> U = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> mirror = np.array([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])  # Eq. 1
    >>> stn_ref.transform(U, mirror)[0, :, :, 0]
    array([[2., 1., 0.],
           [5., 4., 3.]])
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
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> U, zoom = np.ones((1, 3, 3, 1)), np.array([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    >>> dU, dtheta = stn_ref.transform_backward(np.ones((1, 2, 2, 1)), U, zoom)
    >>> dU[0, :, :, 0]
    array([[0.25, 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 0.25]])
    >>> bool(np.any(dtheta))  # a flat map pulls nowhere
    False
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
