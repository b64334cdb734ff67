"""What a backend is: four functions of fixed signature, and whether it can run here."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from stn_ref.equations import AFFINE, BILINEAR, Transformation
from stn_ref.equations.arguments import Array, Size
from stn_ref.equations.sampler import Kernels


class Backend(Protocol):
    """A module with these functions. U, xy and θ are those of the equations."""

    @staticmethod
    def is_available() -> bool:
        """Whether it can run here."""

    @staticmethod
    def why_not() -> str:
        """Why it cannot, and what to install; "" if it can."""

    @staticmethod
    def sample(
        U: ArrayLike,
        xy: ArrayLike,
        *,
        kernel: Kernels = BILINEAR,
        padding: str = "zeros",
        fill: float = 0.0,
        deterministic: bool = True,
    ) -> Array:
        """V of Eq. 3."""

    @staticmethod
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
        """dU, dxy and dPhi of Eqs. 6 and 7."""

    @staticmethod
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
        """V straight from θ."""

    @staticmethod
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
        """dU and dtheta, straight back."""
