"""What a backend is: four functions of fixed signature, which check their arguments once.

A backend's module computes: it has `evaluate(call)`, `evaluate_backward(call)`, what brings arrays
in, and whether it can run here.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.backends.call import Call, Given, fitting_theta
from stn_ref.equations import AFFINE, BILINEAR, Kernel, Transformation
from stn_ref.equations.arguments import (
    Array,
    Size,
    checked_tie,
    feature_map,
    fill_value,
    flag,
    like,
    per_axis,
    points,
    shaped,
    sides,
    whole_size,
)
from stn_ref.equations.padding import padding_rule
from stn_ref.equations.sampler import Kernels


class Module(Protocol):
    """What computes."""

    LONGDOUBLE: bool  # whether it takes longdouble

    @staticmethod
    def is_available() -> bool:
        """Whether it can run here."""

    @staticmethod
    def why_not() -> str:
        """Why it cannot, and what to install; "" if it can."""

    @staticmethod
    def look(array: Any) -> Array:
        """The array, or one of its shape and dtype, to be checked."""

    @staticmethod
    def read(array: Any) -> Array:
        """The array in the host's memory."""

    @staticmethod
    def evaluate(call: Call) -> Any:
        """V."""

    @staticmethod
    def evaluate_backward(call: Call) -> Any:
        """dU, dxy and dPhi at given points; else dU and dtheta."""


class Backend:
    """The four functions; U, xy and θ are those of the equations."""

    def __init__(self, name: str, module: Module) -> None:
        self.name, self.module = name, module

    def is_available(self) -> bool:
        """Whether it can run here."""
        return self.module.is_available()

    def why_not(self) -> str:
        """Why it cannot, and what to install; "" if it can."""
        return self.module.why_not()

    def sample(
        self,
        U: ArrayLike,
        xy: ArrayLike,
        *,
        kernel: Kernels = BILINEAR,
        padding: str = "zeros",
        fill: float = 0.0,
        deterministic: bool = True,
    ) -> Array:
        """V of Eq. 3; see `stn_ref.sample`."""
        call = self.at_points(U, xy, kernel, padding, fill, deterministic)
        return self.module.evaluate(call)

    def sample_backward(
        self,
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
        """dU, dxy and dPhi of Eqs. 6 and 7; see `stn_ref.sample_backward`."""
        call = self.at_points(U, xy, kernel, padding, fill, deterministic, tie)
        return self.module.evaluate_backward(self.with_loss(call, dV, call.size))

    def transform(
        self,
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
        """V straight from θ; see `stn_ref.transform`."""
        through = theta, transformation, size, align_corners
        call = self.through_theta(U, *through, kernel, padding, fill, deterministic)
        return self.module.evaluate(call)

    def transform_backward(
        self,
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
        """dU and dtheta, straight back; see `stn_ref.transform_backward`."""
        through = theta, transformation, None, align_corners
        call = self.through_theta(U, *through, kernel, padding, fill, deterministic, tie)
        return self.module.evaluate_backward(self.with_loss(call, dV, sides(call.axes)))

    def at_points(
        self,
        U: ArrayLike,
        xy: ArrayLike,
        kernel: Kernels,
        padding: str,
        fill: float,
        deterministic: bool = True,
        tie: str = "right",
    ) -> Call:
        """The call of Eq. 3 at these points, checked."""
        u, how = self._map(U, kernel, padding, fill, deterministic, tie)
        at = points("xy", self.module.look(xy), u.ndim - 2, len(u))
        return Call(Given(U, xy), u, at.shape[1:-1], *how, xy=self._narrow("xy", at))

    def through_theta(
        self,
        U: ArrayLike,
        theta: ArrayLike,
        transformation: Transformation,
        size: Size | None,
        align_corners: bool,
        kernel: Kernels,
        padding: str,
        fill: float,
        deterministic: bool = True,
        tie: str = "right",
    ) -> Call:
        """The call of Eq. 3 at T_θ(G), checked."""
        u, how = self._map(U, kernel, padding, fill, deterministic, tie)
        read = self._narrow("theta", self.module.read(theta))
        double = fitting_theta(read, u, transformation)
        size = u.shape[1:-1] if size is None else whole_size(size, u.ndim - 2)
        through = double, transformation, flag("align_corners", align_corners), read.dtype
        return Call(Given(U, theta=theta), u, size, *how, None, *through)

    def with_loss(self, call: Call, dV: ArrayLike, size: tuple[int | str, ...]) -> Call:
        """The call on its way back, with a dV that is alike to V."""
        U = call.U
        dv = like("dV", shaped("dV", self.module.look(dV), (len(U), *size, U.shape[-1])), "U", U)
        return call._replace(given=call.given._replace(dV=dV), dV=dv, size=dv.shape[1:-1])

    def _map(
        self,
        U: ArrayLike,
        kernel: Kernels,
        padding: str,
        fill: float,
        deterministic: bool,
        tie: str,
    ) -> tuple[Array, tuple[tuple[Kernel, ...], str, float, str, bool]]:
        """U, and what every call has."""
        flag("deterministic", deterministic)
        u = self._narrow("U", feature_map(self.module.look(U)))
        kernels = per_axis(kernel, u.ndim - 2)
        padding_rule(padding)
        fill = fill_value(fill, padding)
        if tie != "right":  # every kernel has that; a small call costs what its checks do
            checked_tie(tie, kernels)
        return u, (kernels, padding, fill, tie, deterministic)

    def _narrow(self, name: str, array: Array) -> Array:
        """The array; TypeError if it has longdouble, and the backend takes float64 at most."""
        longer = array.dtype == np.longdouble and np.dtype(np.longdouble) != np.dtype(np.float64)
        if longer and not self.module.LONGDOUBLE:
            raise TypeError(
                f"{name} has dtype {array.dtype}; the {self.name} backend takes float32 and "
                'float64: cast it, or use backend="reference"'
            )
        return array
