"""One output pixel through every equation of §3.2 and §3.3: the paper, run by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stn_ref.backends import get
from stn_ref.equations import AFFINE, BILINEAR, Transformation, target_grid
from stn_ref.equations.arguments import Array, Size, feature_map
from stn_ref.equations.padding import OUTSIDE, nowhere
from stn_ref.equations.quiet import quiet
from stn_ref.equations.sampler import Kernels, sample
from stn_ref.equations.taps import cell, slopes, taps

EQUATION = {"affine": "Eq. 1", "attention": "Eq. 2", "integer": "Eq. 4", "bilinear": "Eq. 5"}
CHANNELS_SHOWN = 3


class TracedTap(NamedTuple):
    """One term of the double sum of Eq. 3."""

    n: int  # the pixel that stands for the tap, −1 outside
    m: int
    k_y: float
    k_x: float
    dk_y: float
    dk_x: float
    value: Array  # U_nm, (C,); the fill where the tap is outside

    @property
    def weight(self) -> float:
        """∂V/∂U_nm, Eq. 6."""
        return self.k_x * self.k_y


@dataclass(frozen=True)
class Trace:
    """One output pixel; print it."""

    at: tuple[int, int, int]
    transformation: str
    kernel: tuple[str, str]
    padding: str
    tie: str
    G: Array  # (2,) the pixel in the target lattice
    grid: Array  # (2,) T_θ(G), normalised
    xy: Array  # (2,) source point, pixels
    cell: Array  # (2,) ⌊x⌋, ⌊y⌋
    f: Array  # (2,) x − ⌊x⌋, y − ⌊y⌋
    taps: tuple[TracedTap, ...]
    V: Array  # (C,)
    dV_dx: Array  # (C,)
    dV_dy: Array  # (C,)

    def __str__(self) -> str:
        b, i, j = self.at
        T = EQUATION.get(self.transformation, "§3.2")
        lines = [
            f"V[{b}, {i}, {j}] · {self.transformation} · {', '.join(dict.fromkeys(self.kernel))}"
            f" · padding {self.padding} · tie {self.tie}",
            "",
            f"§3.2    G_i       (x^t, y^t) = ({self.G[0]:.6g}, {self.G[1]:.6g})",
            f"{T:<7} T_θ(G_i)  (x^s, y^s) = ({self.grid[0]:.6g}, {self.grid[1]:.6g})",
            f"§3.2    pixels    (x, y) = ({self.xy[0]:.9g}, {self.xy[1]:.9g})",
            f"§3.3    cell      (⌊x⌋, ⌊y⌋) = ({self.cell[0]:.9g}, {self.cell[1]:.9g}),"
            f"  fractions ({self.f[0]:.6g}, {self.f[1]:.6g})",
        ]
        if nowhere(self.xy, self.padding).any():
            return "\n".join([*lines, "        nowhere under this padding: V is NaN"])
        for c in range(min(len(self.V), CHANNELS_SHOWN)):
            lines += ["", *self._channel(c)]
        if len(self.V) > CHANNELS_SHOWN:
            lines += ["", f"… and {len(self.V) - CHANNELS_SHOWN} more channels"]
        return "\n".join(lines)

    def _channel(self, c: int) -> list[str]:
        """The terms of Eqs. 3, 6 and 7 for one channel, and their sums."""
        k_x, k_y = (EQUATION.get(name, "Eq. 3") for name in self.kernel)
        head = ("n", "m", "U_nm", "k(x−m)", "k(y−n)", "∂V/∂U_nm", "U k k", "U k′ k", "U k k′")
        equations = ("", "", f"c = {c}", k_x, k_y, "Eq. 6", "Eq. 3", "Eq. 7 x", "Eq. 7 y")
        table: list[tuple[str, ...]] = [equations, head]
        for t in self.taps:
            u = t.value[c]
            terms = (u * t.weight, u * t.dk_x * t.k_y, u * t.k_x * t.dk_y)
            numbers = (u, t.k_x, t.k_y, t.weight, *terms)
            place = ["·" if p == OUTSIDE else str(p) for p in (t.n, t.m)]
            table.append((*place, *(f"{number:.6g}" for number in numbers)))
        sums = (self.V[c], self.dV_dx[c], self.dV_dy[c])
        table.append(("", "", "", "", "", "sum", *(f"{number:.6g}" for number in sums)))
        table.append(("", "", "", "", "", "", "V", "∂V/∂x", "∂V/∂y"))
        widths = [4, 4, *[13] * 7]
        return ["".join(map(str.rjust, row, widths)).rstrip() for row in table]


@quiet
def trace(
    U: ArrayLike,
    theta: ArrayLike,
    at: tuple[int, int, int],
    *,
    transformation: Transformation = AFFINE,
    size: Size | None = None,
    kernel: Kernels = BILINEAR,
    padding: str = "zeros",
    fill: float = 0.0,
    tie: str = "right",
    align_corners: bool = True,
) -> Trace:
    """Follow one output pixel through every equation; V is that of `transform`, bit for bit.

    U      (B, H, W, C)             input feature map
    theta  (B, *identity().shape)   parameters of the transformation
    at     (b, i, j)                the output pixel V[b, i, j]
    The rest is as in `transform` and `transform_backward`.
    Returns a Trace; `print` it. Taps out of the kernel's support are left out.
    Raises TypeError or ValueError for an argument of a wrong shape, dtype or value.

    >>> U = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> theta = np.array([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    >>> print(stn_ref.trace(U, theta, at=(0, 0, 2)))  # doctest: +ELLIPSIS
    V[0, 0, 2] · affine · bilinear · padding zeros · tie right
    ...
    Eq. 1   T_θ(G_i)  (x^s, y^s) = (0.5, -0.5)
    ...
    """
    through = theta, transformation, size, align_corners
    call = get("reference").through_theta(
        feature_map(U, 2), *through, kernel, padding, fill, tie=tie
    )
    b, i, j = _place(at, (len(call.U), *call.size))
    assert call.theta is not None
    U, theta = call.U[b : b + 1], call.theta[b : b + 1]
    G = target_grid(call.size, align_corners=align_corners)[i : i + 1, j : j + 1]
    xy = call._replace(U=U, theta=theta).points()[:, i : i + 1, j : j + 1]

    V = sample(U, xy, kernel=call.kernels, padding=padding, fill=fill)[0, 0, 0]
    kernel_x, kernel_y = call.kernels
    rows = taps(xy[..., 1], U.shape[1], kernel_y, padding, slopes, tie)
    columns = taps(xy[..., 0], U.shape[2], kernel_x, padding, slopes, tie)
    found = tuple(
        TracedTap(
            n := int(y.pixel.item()),
            m := int(x.pixel.item()),
            y.k.item(),
            x.k.item(),
            y.dk.item(),
            x.dk.item(),
            np.full(len(V), fill) if OUTSIDE in (n, m) else U[0, n, m].astype(theta.dtype),
        )
        for y in rows
        for x in columns
        if (y.k or y.dk) and (x.k or x.dk)
    )
    start = np.full(len(V), np.nan if nowhere(xy, padding).any() else 0.0)
    return Trace(
        (b, i, j),
        transformation.name,
        (kernel_x.name, kernel_y.name),
        padding,
        tie,
        G[0, 0],
        np.asarray(transformation.grid(theta, G))[0, 0, 0],
        xy[0, 0, 0],
        *cell(xy[0, 0, 0]),
        found,
        V,
        sum((t.value * t.dk_x * t.k_y for t in found), start=start),
        sum((t.value * t.k_x * t.dk_y for t in found), start=start),
    )


def _place(at: tuple[int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int]:
    whole = isinstance(at, tuple | list) and all(isinstance(p, int | np.integer) for p in at)
    if not whole or len(at) != 3:
        raise TypeError(f"at is {at!r}; expected three integers, (b, i, j)")
    if not all(0 <= p < s for p, s in zip(at, shape, strict=True)):
        raise ValueError(f"at is {at!r}; expected it within V's (B, H', W') = {shape}")
    b, i, j = at
    return int(b), int(i), int(j)
