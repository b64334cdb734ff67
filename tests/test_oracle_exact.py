"""The oracle's values are the exact ones, rounded once: held against rational arithmetic."""

from fractions import Fraction
from itertools import product
from math import floor, prod

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stn_ref.oracle import expected, onnx, torch
from stn_ref.oracle.twofold import Twofold, two_product, two_sum, twofold
from tests.peers import PADDING_MODES, call

HALF, A = Fraction(1, 2), Fraction(-3, 4)


def hat(t):
    return max(0, 1 - abs(t)), (1 if -1 <= t < 0 else -1 if 0 <= t < 1 else 0)


def nearest(t):
    return int(t == 0), 0


def keys(t):
    """Keys 1981, and its derivative, written out in powers."""
    r, sign = abs(t), (t > 0) - (t < 0)
    if r < 1:
        return (A + 2) * r**3 - (A + 3) * r**2 + 1, sign * (3 * (A + 2) * r**2 - 2 * (A + 3) * r)
    if r < 2:
        return A * (r**3 - 5 * r**2 + 8 * r - 4), sign * A * (3 * r**2 - 10 * r + 8)
    return 0, 0


def folded(x, low, high):
    """Mirrored until it lies between, and the sign of the slope."""
    sign, period = 1, 2 * (high - low)
    if period == 0:
        return Fraction(0), 0
    x = (x - low) % period
    # a point on the far mirror still counts as coming from inside
    return (low + x, sign) if x <= high - low else (low + period - x, -sign)


def axis(g, size, mode, padding_mode, aligned):
    """{pixel: (weight, slope)} of a normalised coordinate, as torch has it, in rational numbers."""
    g = Fraction(float(g))
    x = (g + 1) * (size - 1) / 2 if aligned else ((g + 1) * size - 1) / 2
    c, slope = Fraction(size - 1 if aligned else size) / 2, 1
    edge = Fraction(0) if aligned else HALF
    if mode != "bicubic" and padding_mode != "zeros":
        if padding_mode == "reflection":
            x, slope = folded(x, -edge, size - 1 + edge)
        if not 0 < x < size - 1:
            x, slope = min(max(x, Fraction(0)), Fraction(size - 1)), 0
    if mode == "nearest":
        x = Fraction(round(x))  # half to even
    weights = {}
    for m in range(floor(x) - 1, floor(x) + 3):
        k, dk = {"bilinear": hat, "nearest": nearest, "bicubic": keys}[mode](x - m)
        if padding_mode == "border":
            m = min(max(m, 0), size - 1)
        elif padding_mode == "reflection":
            m = int(folded(Fraction(m), -edge, size - 1 + edge)[0]) if size > 1 or edge else 0
            m = min(max(m, 0), size - 1)
        if 0 <= m < size:
            old = weights.get(m, (0, 0))
            weights[m] = old[0] + k, old[1] + dk * slope * c
    return weights


def exactly(U, grid, dV, *options):
    """V, the gradients of U and of grid, in rational numbers."""
    sizes, outputs = U.shape[:1:-1], grid.shape[1:-1]
    V, dU, dgrid = (
        np.full(shape, Fraction(0), object)
        for shape in ((*U.shape[:2], *outputs), U.shape, grid.shape)
    )
    for b, *at in np.ndindex(*grid.shape[:-1]):
        along = [axis(g, s, *options) for g, s in zip(grid[b, *at], sizes, strict=True)]
        for c, taps in product(range(U.shape[1]), product(*(w.items() for w in along))):
            loss = Fraction(float(dV[b, c, *at]))
            pixel = b, c, *(m for m, _ in reversed(taps))
            u, k, dk = Fraction(float(U[pixel])), *zip(*(both for _, both in taps), strict=True)
            V[b, c, *at] += u * prod(k)
            dU[pixel] += loss * prod(k)
            for a, slope in enumerate(dk):
                dgrid[b, *at, a] += loss * u * slope * prod((*k[:a], *k[a + 1 :]))
    return V, dU, dgrid


def assert_correctly_rounded(dialect, U, grid, dV, *options):
    """Half a unit in the last place, and next to nothing of the terms."""
    found = (
        expected(dialect.grid_sample, U, grid, *options),
        *expected(dialect.grid_sample_backward, dV, U, grid, *options),
    )
    for (value, _), truth in zip(found, exactly(U, grid, dV, *options), strict=True):
        for ours, exact in zip(value.ravel().tolist(), truth.ravel(), strict=True):
            half = Fraction(np.spacing(abs(float(exact)))) / 2
            assert abs(Fraction(ours) - exact) <= half + Fraction(2) ** -96  # of terms about 1


@pytest.mark.parametrize("aligned", (True, False), ids=("corners", "edges"))
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("mode", ("bilinear", "nearest", "bicubic"))
@pytest.mark.parametrize("dtype", (np.float32, np.float64), ids=("single", "double"))
def test_values_and_gradients_are_correctly_rounded(mode, padding_mode, aligned, dtype):
    rng, options = np.random.default_rng(11), (mode, padding_mode, aligned)
    for _ in range(6):
        U, grid, dV = call(rng, dtype, aligned)
        grid[rng.random(grid.shape) < 0.1] = 1e-20  # so close to the middle that float64 drops it
        assert_correctly_rounded(torch, U, grid, dV, *options)


@pytest.mark.parametrize("aligned", (True, False), ids=("corners", "edges"))
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize(
    ("dialect", "mode", "axes"),
    (
        (torch, "bilinear", 3),
        (torch, "nearest", 3),
        (onnx, "bicubic", 3),
        (onnx, "bilinear", 1),
        (onnx, "bicubic", 1),
    ),
)
def test_so_they_are_of_volumes_and_signals(dialect, mode, axes, padding_mode, aligned):
    rng = np.random.default_rng(12)
    for _ in range(2):
        U, grid, dV = call(rng, np.float64, aligned, axes=axes)
        U, dV, grid = U[:1, :1], dV[:1, :1, :2], grid[:1, :2]  # rational numbers take their time
        assert_correctly_rounded(dialect, U, grid, dV, mode, padding_mode, aligned)


def test_sums_and_products_of_twofolds_have_twice_the_bits(rng):
    def exact(x):
        return [
            Fraction(hi) + Fraction(lo) for hi, lo in zip(x.hi.tolist(), x.lo.tolist(), strict=True)
        ]

    for scale in (1.0, 1e-9, 1e9):
        a, b = (Twofold(*two_sum(rng.standard_normal(50), 1e-17 * rng.random(50))) for _ in "ab")
        b = b * scale
        for found, truth in (
            (a + b, Fraction.__add__),
            (a - b, Fraction.__sub__),
            (a * b, Fraction.__mul__),
        ):
            for x, y, z in zip(exact(a), exact(b), exact(found), strict=True):
                assert abs(z - truth(x, y)) <= Fraction(2) ** -100 * (abs(x) + abs(y)) * max(
                    1, abs(y)
                )


def test_the_errors_of_a_sum_and_a_product_are_exact(rng):
    a, b = rng.standard_normal((2, 100)) * 10.0 ** rng.integers(-12, 12, (2, 100))
    for (s, e), exact in ((two_sum(a, b), Fraction.__add__), (two_product(a, b), Fraction.__mul__)):
        for x, y, hi, lo in zip(*(v.tolist() for v in (a, b, s, e)), strict=True):
            assert Fraction(hi) + Fraction(lo) == exact(Fraction(x), Fraction(y))


def test_a_twofold_knows_its_side_of_a_whole_number():
    just = Twofold(np.array([2.0, 2.0, 2.0]), np.array([-1e-20, 0.0, 1e-20]))
    assert_array_equal(just.floor(), [1, 2, 2])
    assert_array_equal(just < 2, [True, False, False])
    assert_array_equal(just > 2, [False, False, True])
    assert_array_equal(just >= 2, [False, True, True])
    assert_array_equal(abs(-just).lo, just.lo)
    assert_array_equal((1.0 - twofold(np.ones(2))).hi, 0)
