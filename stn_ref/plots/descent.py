"""A map read at T_θ(G), the loss that pulls it back, a step down: for `explore` and `lecture`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import stn_ref
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.equations import Transformation
from stn_ref.equations.arguments import Array, Size

FIRST = 0.1  # how far the longest step moves the entry of θ whose slope is steepest
HALVINGS = 20


class Warp(NamedTuple):
    """V = sample(U, T_θ(G)), of U's size, and L = ½ Σ (V − U)², least at the identity.

    U               (H, W, C)
    transformation  T
    align_corners   as in `stn_ref.transform`
    sampler         further options, as `stn_ref.sample` takes them
    """

    U: Array
    transformation: Transformation
    align_corners: bool
    sampler: dict[str, Any]

    @property
    def size(self) -> Size:
        """(H, W), of U and of V."""
        return self.U.shape[:2]

    def forward(self, theta: Array) -> tuple[Array, Array, float]:
        """The source points xy (H, W, 2), V (H, W, C) and L at a θ."""
        xy = source_pixels(
            theta[None], self.transformation, self.size, self.size, self.align_corners
        )
        V = stn_ref.sample(self.U[None], xy, **self.sampler)[0]
        return xy[0], V, float(np.sum(self.residue(V) ** 2) / 2)

    def residue(self, V: Array) -> Array:
        """∂L/∂V = V − U, without what is rounding alone: it would pull at the identity."""
        return np.where(abs(V - self.U) < 1e-9, 0, V - self.U)

    def backward(self, theta: Array, xy: Array, V: Array) -> tuple[Array, Array]:
        """∂L/∂(x, y) (H, W, 2) and ∂L/∂θ, from what `forward` gave at θ."""
        dV, U = self.residue(V)[None], self.U[None]
        _, dxy, *_ = stn_ref.sample_backward(dV, U, xy[None], **self.sampler)
        T, aligned = self.transformation, self.align_corners
        return dxy[0], source_pixels_backward(dxy, theta[None], T, self.size, aligned)[0]

    def step(
        self, theta: Array, limit: float, allowed: Callable[[Array], bool]
    ) -> tuple[Array, float] | None:
        """One step down, θ − η ∂L/∂θ, and η; None if no step lowers L.

        η begins where the steepest entry moves by 0.1, and is halved until L is less than before.

        limit    of the entries of θ; what would go beyond stays there
        allowed  allowed(θ) says whether a θ may be taken
        """
        xy, V, before = self.forward(theta)
        _, dtheta = self.backward(theta, xy, V)
        eta = FIRST / (np.max(abs(dtheta)) or 1)
        for _ in range(HALVINGS):
            tried = np.clip(theta - eta * dtheta, -limit, limit)
            if allowed(tried) and self.forward(tried)[2] < before:
                return tried, eta
            eta /= 2
        return None
