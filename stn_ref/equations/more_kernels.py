"""§3.3, kernels beyond the two that the paper prints: Eq. 3 takes any k with any Φ."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from stn_ref.equations.arguments import number, per_axis, whole
from stn_ref.equations.kernels import BILINEAR, INTEGER, Kernel, no_curvature, no_parameters
from stn_ref.equations.taps import shift


def keys(a: float = -0.75) -> Kernel:
    """Keys' cubic convolution, Φ = (a,): −¾ and −½ are both in use, −½ reproduces quadratics."""
    Phi, columns = (number("a", a),), (keys_k, keys_dk, keys_dk_dphi, 2.0)
    return Kernel("keys", Phi, *columns, d2k=keys_d2k).made_by(keys, a=Phi[0])


def keys_k(t: Any, phi: tuple[float, ...]) -> Any:
    """((a+2)t² − |t| − 1)(|t| − 1) for |t| < 1, a(|t| − 1)(|t| − 2)² for 1 ≤ |t| < 2.   §3.3

    Both pieces are factored, so that k is exactly 0 at every nonzero integer, whatever a is.
    """
    a, r = phi[0], abs(t)
    inner = ((a + 2) * r * r - r - 1) * (r - 1)
    outer = a * (r - 1) * (r - 2) * (r - 2)
    return (r < 1) * inner + ((r >= 1) & (r < 2)) * outer


def keys_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """sign(t) times 3(a+2)t² − 2(a+3)|t| inside, a(|t| − 2)(3|t| − 4) outside: k is smooth."""
    a, r = phi[0], abs(t)
    inner = (3 * (a + 2) * r - 2 * (a + 3)) * r
    outer = a * (r - 2) * (3 * r - 4)
    slope = (r < 1) * inner + ((r >= 1) & (r < 2)) * outer
    return (1.0 * (t > 0) - 1.0 * (t < 0)) * slope


def keys_d2k(t: Any, phi: tuple[float, ...]) -> Any:
    """6(a+2)|t| − 2(a+3) inside, a(6|t| − 10) outside: it jumps at ±1, unless a = −¾, and at ±2."""
    a, r = phi[0], abs(t)
    inner, outer = 6 * (a + 2) * r - 2 * (a + 3), a * (6 * r - 10)
    near, far = (t >= -1) & (t < 1), (t >= -2) & (t < 2)
    return far * outer + near * (inner - outer)


def keys_dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    """∂k/∂a = t²(|t| − 1) inside, (|t| − 1)(|t| − 2)² outside."""
    r = abs(t)
    outer = (r - 1) * (r - 2) * (r - 2)
    return ((r < 1) * (r * r * (r - 1)) + ((r >= 1) & (r < 2)) * outer,)


def hat(width: float) -> Kernel:
    """A hat of any half-width, Φ = (width,), not normalised: whole widths sum to width."""
    Phi = (_positive("width", width),)
    columns = hat_k, hat_dk, hat_dk_dphi, Phi[0]
    return Kernel("hat", Phi, *columns, d2k=no_curvature).made_by(hat, width=Phi[0])


def hat_k(t: Any, phi: tuple[float, ...]) -> Any:
    """max(0, 1 − |t|/width).                                                    §3.3"""
    inside = abs(t) < phi[0]
    return inside * (1 - inside * abs(t) / phi[0])


def hat_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """+1/width on −width ≤ t < 0, −1/width on 0 ≤ t < width."""
    rising, falling = (t >= -phi[0]) & (t < 0), (t >= 0) & (t < phi[0])
    return (1.0 * rising - 1.0 * falling) / phi[0]


def hat_dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    """∂k/∂width = |t|/width² for |t| < width."""
    return ((abs(t) < phi[0]) * abs(t) / phi[0] / phi[0],)


def gaussian(sigma: float) -> Kernel:
    """A Gaussian, cut at six standard deviations, Φ = (sigma,)."""
    Phi = (_positive("sigma", sigma),)
    columns = gaussian_k, gaussian_dk, gaussian_dk_dphi, 6 * Phi[0]
    return Kernel("gaussian", Phi, *columns, d2k=gaussian_d2k).made_by(gaussian, sigma=Phi[0])


def gaussian_k(t: Any, phi: tuple[float, ...]) -> Any:
    """exp(−t²/2σ²) for |t| < 6σ.                                                §3.3"""
    inside = abs(t) < 6 * phi[0]
    z = inside * t / phi[0]
    return inside * np.exp(-z * z / 2)


def gaussian_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """−t/σ² k(t); the cut, where k is 10⁻⁸, is not differentiated."""
    inside = abs(t) < 6 * phi[0]
    z = inside * t / phi[0]
    return -z / phi[0] * np.exp(-z * z / 2)


def gaussian_d2k(t: Any, phi: tuple[float, ...]) -> Any:
    """(t²/σ² − 1)/σ² k(t)."""
    inside = abs(t) < 6 * phi[0]
    z = inside * t / phi[0]
    return inside * (z * z - 1) / phi[0] / phi[0] * np.exp(-z * z / 2)


def gaussian_dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
    """∂k/∂σ = t²/σ³ k(t)."""
    inside = abs(t) < 6 * phi[0]
    z = inside * t / phi[0]
    return (z * z / phi[0] * np.exp(-z * z / 2),)


def lanczos(lobes: int = 3) -> Kernel:
    """sinc(t) sinc(t/a) for |t| < a, sinc u = sin πu/πu, Φ = (): the sinc in a window.  §3.3

    Written a sin(πt) sin(πt/a)/(πt)², with the first angle reduced before its sine, so that k is
    exactly 0 at every nonzero integer; near 0 two series stand for the quotients, in the derivative
    for as long as the quotient would lose digits.
    """
    a = whole("lobes", lobes, 1, 64)

    def k(t: Any, phi: tuple[float, ...]) -> Any:
        near, n = abs(t) < 0.01, np.floor(t + 0.5)
        x, y = (np.pi * t) * (np.pi * t), (np.pi * t / a) * (np.pi * t / a)
        series = (1 - x / 6 * (1 - x / 20 * (1 - x / 42))) * (
            1 - y / 6 * (1 - y / 20 * (1 - y / 42))
        )
        sin, window = (1 - 2 * (n % 2)) * np.sin(np.pi * (t - n)), np.sin(np.pi * t / a)
        return (abs(t) < a) * (near * series + (1 - near) * a * sin * window / (x + near))

    def dk(t: Any, phi: tuple[float, ...]) -> Any:
        near, n = abs(t) < 0.25, np.floor(t + 0.5)
        x, y = (np.pi * t) * (np.pi * t), (np.pi * t / a) * (np.pi * t / a)
        # sin u/u and −3/u times its derivative, as series in u²: x for the sinc, y for the window
        one, other = 1 - x / 156 * (1 - x / 210), 1 - y / 156 * (1 - y / 210)
        one, other = 1 - x / 72 * (1 - x / 110 * one), 1 - y / 72 * (1 - y / 110 * other)
        one, other = 1 - x / 20 * (1 - x / 42 * one), 1 - y / 20 * (1 - y / 42 * other)
        one, other = 1 - x / 6 * one, 1 - y / 6 * other
        slope, turn = 1 - x / 130 * (1 - x / 180), 1 - y / 130 * (1 - y / 180)
        slope, turn = 1 - x / 54 * (1 - x / 88 * slope), 1 - y / 54 * (1 - y / 88 * turn)
        slope, turn = 1 - x / 10 * (1 - x / 28 * slope), 1 - y / 10 * (1 - y / 28 * turn)
        series = -np.pi * np.pi * t / 3 * (slope * other + one * turn / (a * a))
        sin, window = (1 - 2 * (n % 2)) * np.sin(np.pi * (t - n)), np.sin(np.pi * t / a)
        cos, edge = np.cos(np.pi * t), np.cos(np.pi * t / a)
        change = np.pi * (a * cos * window + sin * edge) - 2 * a * sin * window / (t + near)
        return (abs(t) < a) * (near * series + (1 - near) * change / (x + near))

    def d2k(t: Any, phi: tuple[float, ...]) -> Any:
        """π² (j″w + 2j′w′/a + jw″/a²), with j = sin u/u at u = πt and w at u = πt/a."""
        (j, dj, d2j), (w, dw, d2w) = _sinc(np.pi * t), _sinc(np.pi * t / a)
        bend = d2j * w + 2 * dj * dw / a + j * d2w / (a * a)
        return ((t >= -a) & (t < a)) * np.pi * np.pi * bend

    row = Kernel(f"lanczos{a}", (), k, dk, no_parameters, float(a), d2k=d2k)
    return row.made_by(lanczos, lobes=a)


def _sinc(u: Any) -> tuple[Any, Any, Any]:
    """j = sin u/u, j′ and j″ = ⅔r − j, where r = −3j′/u; near 0 by series, for quotients cancel."""
    near, v = abs(u) < 0.8, u * u
    far = np.where(near, 1.0, u)
    j = 1 - v / 72 * (1 - v / 110 * (1 - v / 156 * (1 - v / 210)))
    j = np.where(near, 1 - v / 6 * (1 - v / 20 * (1 - v / 42 * j)), np.sin(far) / far)
    r = 1 - v / 54 * (1 - v / 88 * (1 - v / 130 * (1 - v / 180)))
    r = np.where(near, 1 - v / 10 * (1 - v / 28 * r), 3 * (j - np.cos(far)) / (far * far))
    return j, -u * r / 3, 2 * r / 3 - j


def bspline(order: int) -> Kernel:
    """The B-spline of an order from 0 to 3, Φ = (); 0 is INTEGER and 1 is BILINEAR."""
    order = whole("order", order, 0, 3)
    if order < 2:
        return (INTEGER, BILINEAR)[order]
    if order == 2:
        columns, d2k = (quadratic_k, quadratic_dk, no_parameters, 1.5), quadratic_d2k
    else:
        columns, d2k = (cubic_k, cubic_dk, no_parameters, 2.0), cubic_d2k
    return Kernel(f"bspline{order}", (), *columns, d2k=d2k).made_by(bspline, order=order)


def quadratic_k(t: Any, phi: tuple[float, ...]) -> Any:
    """¾ − t² for |t| < ½, (3/2 − |t|)²/2 for ½ ≤ |t| < 3/2.                       §3.3"""
    r = abs(t)
    return (r < 0.5) * (0.75 - r * r) + ((r >= 0.5) & (r < 1.5)) * (1.5 - r) * (1.5 - r) / 2


def quadratic_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """−2t inside, ∓(3/2 − |t|) outside: smooth."""
    r, sign = abs(t), 1.0 * (t > 0) - 1.0 * (t < 0)
    return -sign * ((r < 0.5) * 2 * r + ((r >= 0.5) & (r < 1.5)) * (1.5 - r))


def quadratic_d2k(t: Any, phi: tuple[float, ...]) -> Any:
    """−2 inside, 1 outside."""
    inner, support = (t >= -0.5) & (t < 0.5), (t >= -1.5) & (t < 1.5)
    return 1.0 * support - 3.0 * inner


def cubic_k(t: Any, phi: tuple[float, ...]) -> Any:
    """⅔ − t² + |t|³/2 for |t| < 1, (2 − |t|)³/6 for 1 ≤ |t| < 2.                  §3.3"""
    r = abs(t)
    inner, outer = 2 / 3 - r * r * (1 - r / 2), (2 - r) * (2 - r) * (2 - r) / 6
    return (r < 1) * inner + ((r >= 1) & (r < 2)) * outer


def cubic_dk(t: Any, phi: tuple[float, ...]) -> Any:
    """sign(t) times −2|t| + 3t²/2 inside, −(2 − |t|)²/2 outside: smooth, twice over."""
    r, sign = abs(t), 1.0 * (t > 0) - 1.0 * (t < 0)
    inner, outer = r * (1.5 * r - 2), -(2 - r) * (2 - r) / 2
    return sign * ((r < 1) * inner + ((r >= 1) & (r < 2)) * outer)


def cubic_d2k(t: Any, phi: tuple[float, ...]) -> Any:
    """3|t| − 2 inside, 2 − |t| outside: without a jump."""
    r = abs(t)
    return (r < 1) * (3 * r - 2) + ((r >= 1) & (r < 2)) * (2 - r)


def normalised(kernel: Kernel) -> Kernel:
    """k(t)/S(t), S(t) = Σ_j k(t + j): the same kernel, weights that sum to one.      §3.3

    Φ stays as it is. Where S is 0, where no pixel is in reach, the weight is 0.
    """
    kernel, _ = per_axis(kernel)
    reach = ceil(2 * kernel.support)
    steps = range(-reach, reach + 1)

    def total(t: Any, phi: tuple[float, ...]) -> Any:
        return sum(kernel.k(shift(t, j, kernel.support), phi) for j in steps)

    def over(part: Any, S: Any) -> Any:
        return (S != 0) * part / (S + (S == 0))

    def k(t: Any, phi: tuple[float, ...]) -> Any:
        return over(kernel.k(t, phi), total(t, phi))

    def dk(t: Any, phi: tuple[float, ...]) -> Any:
        """(k/S)′ = (k′ − k/S S′)/S."""
        dS = sum(kernel.dk(shift(t, j, kernel.support), phi) for j in steps)
        return over(kernel.dk(t, phi) - k(t, phi) * dS, total(t, phi))

    def dk_dphi(t: Any, phi: tuple[float, ...]) -> tuple[Any, ...]:
        S, slopes = total(t, phi), [kernel.dk_dphi(shift(t, j, kernel.support), phi) for j in steps]
        dS = [sum(parts) for parts in zip(*slopes, strict=True)]
        own = kernel.dk_dphi(t, phi)
        return tuple(over(d - k(t, phi) * dS_i, S) for d, dS_i in zip(own, dS, strict=True))

    def d2k(t: Any, phi: tuple[float, ...]) -> Any:
        """(k/S)″ = (k″ − 2 (k/S)′ S′ − k/S S″)/S."""
        assert kernel.d2k is not None
        near = [shift(t, j, kernel.support) for j in steps]
        S, dS, d2S = (sum(f(u, phi) for u in near) for f in (kernel.k, kernel.dk, kernel.d2k))
        q = over(kernel.k(t, phi), S)
        dq = over(kernel.dk(t, phi) - q * dS, S)
        return over(kernel.d2k(t, phi) - 2 * dq * dS - q * d2S, S)

    name, columns = f"normalised {kernel.name}", (k, dk, dk_dphi, kernel.support, kernel)
    row = Kernel(name, kernel.Phi, *columns, None if kernel.d2k is None else d2k)
    return row.made_by(normalised, kernel)


def _positive(name: str, value: float) -> float:
    if not number(name, value) > 0:
        raise ValueError(f"{name} is {value!r}; expected a number above 0")
    return float(value)
