"""The checker finds wrong gradients, accepts right ones, and knows about knots."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from stn_ref import check_gradients
from stn_ref import equations as eq
from stn_ref.equations import BILINEAR, hat, sample, sample_backward
from stn_ref.proofs import cases, checks, forward_checks
from stn_ref.proofs.checks import all_checks, on_knots
from stn_ref.proofs.knots import no_crossing, sampler_knots, sampler_pieces

X = np.linspace(-0.9, 1.1, 7)


def cube(x):
    return x**3


def cube_backward(dout, x):
    return 3 * x**2 * dout


CHECKS = dict(all_checks())


@pytest.mark.parametrize("name", CHECKS)
def test_every_gradient_in_the_package_agrees_with_differences(name, rng):
    report = CHECKS[name](rng)
    report.raise_if_wrong()
    assert report.rows and report.tolerance == 1e-7


def test_the_table_covers_what_it_says(rng, monkeypatch):
    """Every kernel, padding and transformation there is; dΦ where there is a Φ."""
    rows = {eq.INTEGER, eq.BILINEAR, eq.bspline(2), eq.bspline(3)}
    assert rows <= set(cases.KERNELS)
    families = {kernel.name.rstrip("0123456789") for kernel in cases.KERNELS}
    assert families >= {"keys", "hat", "gaussian", "lanczos", "normalised hat"}
    names = " ".join(CHECKS)
    for record in vars(eq).values():
        if isinstance(record, eq.Transformation):
            assert record in cases.TRANSFORMATIONS
    for made in ("piecewise affine", "thin plate spline", "after"):
        assert made in names
    for kernel in cases.KERNELS:
        for padding in eq.PADDINGS:
            name = f"{kernel.name}, {padding}"
            assert f"sample · Eqs. 3, 6, 7 · {name}" in CHECKS
            assert (f"sample, dΦ · §3.3 · {name}" in CHECKS) == bool(kernel.Phi)
        for order in ("forward", "second"):
            assert f"sample, {order} · Eqs. 6, 7 · {kernel.name}, " in names
    for record in cases.TRANSFORMATIONS:
        for path in (f"{record.name}.grid, forward · §3.2", f"forward · §3.2 · {record.name}"):
            assert path in names
    for kernel in [k for k in cases.KERNELS if k.Phi]:
        report = CHECKS[f"sample, dΦ · §3.3 · {kernel.name}, zeros"](rng)
        assert [row.input for row in report.rows] == [0, 1]
        wrong = replace(kernel, dk_dphi=lambda t, phi, d=kernel.dk_dphi: (1.01 * d(t, phi)[0],))
        monkeypatch.setattr(checks, "KERNELS", (wrong,))
        table = dict(checks.all_checks())
        assert not table[f"sample, dΦ · §3.3 · {kernel.name}, zeros"](rng).ok


def test_the_rows_of_second_derivatives_look_at_d2k(rng, monkeypatch):
    kernel = eq.keys()
    wrong = replace(kernel, d2k=lambda t, phi: 1.01 * kernel.d2k(t, phi))
    monkeypatch.setattr(forward_checks, "KERNELS", (wrong,))
    table = dict(forward_checks.forward_checks())
    assert table["sample, forward · Eqs. 6, 7 · keys, zeros"](rng).ok
    assert not table["sample, second · Eqs. 6, 7 · keys, zeros"](rng).ok


def test_a_right_gradient_passes_with_room_to_spare(rng):
    report = check_gradients(cube, cube_backward, X, rng=rng)
    assert report.ok and report.error < 1e-10
    report.raise_if_wrong()


@pytest.mark.parametrize("share", [1.001, 1 + 1e-5, -1.0, 0.0, np.nan, np.inf])
def test_a_wrong_gradient_fails_and_shows_both_numbers(share, rng):
    wrong = lambda dout, x: share * cube_backward(dout, x)  # noqa: E731
    with np.errstate(invalid="ignore"):
        report = check_gradients(cube, wrong, X, rng=rng)
    assert not report.ok
    row = report.rows[0]
    assert f"{row.claimed: .9e}" in str(report) and f"{row.measured[0]: .9e}" in str(report)
    with pytest.raises(AssertionError, match="WRONG"):
        report.raise_if_wrong()


def test_one_wrong_element_among_thousands_is_found(rng):
    x = rng.uniform(1, 2, 10_000)

    def one_off(dout, x):
        dx = cube_backward(dout, x)
        dx[1234] *= 1.5
        return dx

    assert check_gradients(cube, cube_backward, x, rng=rng).ok
    assert not check_gradients(cube, one_off, x, rng=rng).ok


def test_each_input_has_its_own_verdict(rng):
    f = lambda x, y: x * y  # noqa: E731
    half_wrong = lambda dout, x, y: (dout * y, 2 * dout * x)  # noqa: E731
    report = check_gradients(f, half_wrong, X, X + 3, rng=rng)
    assert [row.error <= report.tolerance for row in report.rows] == [True, False]
    skipping = lambda dout, x, y: (dout * y, None, "ignored")  # noqa: E731
    assert [row.input for row in check_gradients(f, skipping, X, X, rng=rng).rows] == [0]


def test_missing_and_misshapen_gradients_are_errors(rng):
    f = lambda x, y: x * y  # noqa: E731
    with pytest.raises(ValueError, match="returned 1 gradients for 2 inputs"):
        check_gradients(f, lambda dout, x, y: dout * y, X, X, rng=rng)
    with pytest.raises(ValueError, match=r"input 0 has shape \(1, 7\); expected \(7,\)"):
        check_gradients(cube, lambda dout, x: (3 * x**2 * dout)[None], X, rng=rng)


def test_single_precision_is_too_coarse(rng):
    with pytest.raises(TypeError, match="input 0 has dtype float32"):
        check_gradients(cube, cube_backward, X.astype(np.float32), rng=rng)
    with pytest.raises(TypeError, match="input 0 has dtype int64"):
        check_gradients(cube, cube_backward, np.arange(3), rng=rng)


@pytest.mark.parametrize("magnitude", [1e-6, 1e-3, 1.0, 1e5, 1e10, 1e14])
def test_the_step_fits_inputs_of_any_magnitude(magnitude, rng):
    x = magnitude * rng.uniform(0.5, 1.5, 5)
    cases = [
        (lambda x: 2 * x, lambda d, x: 2 * d),
        (lambda x: x**3, lambda d, x: 3 * x**2 * d),
        (np.log, lambda d, x: d / x),
    ]
    for f, right in cases:
        assert check_gradients(f, right, x, rng=rng).ok
        for wrong in (-1, 1.1, 1 + 1e-5):
            claim = lambda d, x, w=wrong, right=right: w * right(d, x)  # noqa: E731
            assert not check_gradients(f, claim, x, rng=rng).ok


def test_a_fast_function_gets_a_small_step(rng):
    f, slope = lambda x: np.sin(300 * x), lambda d, x: 300 * np.cos(300 * x) * d
    assert check_gradients(f, slope, X, rng=rng).ok


def test_a_slope_that_rounding_hides_is_an_error_and_not_a_pass(rng):
    f, x, y = lambda x, y: x + y, X, np.full(7, 1e13)
    report = check_gradients(f, lambda d, x, y: (-d, d), x, y, rng=rng)
    assert not report.ok and "rounding hides the slope" in str(report)


def test_rounding_dust_is_as_good_as_zero(rng):
    """Outside both edges of a border nothing moves; what Eq. 7 leaves there is rounding."""
    U, xy = rng.standard_normal((1, 5, 6, 2)), rng.uniform(-4, -2, (1, 3, 3, 2))
    f, f_backward = partial(sample, padding="border"), partial(sample_backward, padding="border")
    _, dxy, _ = f_backward(np.ones((1, 3, 3, 2)), U, xy)
    assert 0 < np.abs(dxy).max() < 1e-15
    check_gradients(f, f_backward, U, xy, rng=rng, knots=sampler_knots()).raise_if_wrong()


@pytest.mark.parametrize("width", [1.0001, 1.001, 1.01])
def test_knots_that_lie_close_together_are_told_apart(width, rng):
    U, xy = rng.standard_normal((1, 5, 6, 1)), rng.integers(0, 4, (1, 2, 2, 2)).astype(float)
    row = {"kernel": hat(width)}
    knots = sampler_knots(**row)
    check_gradients(
        partial(sample, **row), partial(sample_backward, **row), U, xy, rng=rng, knots=knots
    ).raise_if_wrong()


def test_a_backward_pass_may_overwrite_what_it_is_given(rng):
    def in_place(dout, x):
        x **= 2
        dout *= 3
        dout *= x
        return dout

    assert check_gradients(cube, in_place, X, rng=rng).ok


def test_checking_nothing_is_an_error(rng):
    with pytest.raises(ValueError, match="nothing was checked"):
        check_gradients(cube, lambda dout, x: None, X, rng=rng)
    with pytest.raises(TypeError, match="rng is None"):
        check_gradients(cube, cube_backward, X, rng=None)


def test_values_that_are_not_finite_fail(rng):
    assert not check_gradients(lambda x: x / 0, cube_backward, X, rng=rng).ok
    assert not check_gradients(lambda x: x * np.nan, cube_backward, X, rng=rng).ok
    one_nan = lambda dout, x: np.where(x == X[2], np.nan, cube_backward(dout, x))  # noqa: E731
    assert not check_gradients(cube, one_nan, X, rng=rng).ok


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 3, 1)])
def test_one_gradient_that_is_not_finite_fails_on_knots_too(bad, place, rng):
    U = rng.standard_normal((1, 5, 6, 1))
    xy = np.array([[[[1.3, 1.4], [2.0, 2.0], [1.7, 2.6], [-9.0, -9.0]]]])

    def one_bad(dV, U, xy):
        dU, dxy, _ = sample_backward(dV, U, xy)
        dxy[place] = bad
        return dU, dxy

    report = check_gradients(sample, one_bad, U, xy, rng=rng, knots=sampler_knots())
    assert not report.ok and "not finite" in str(report)


def test_a_large_coordinate_does_not_blind_its_neighbours(rng):
    U, xy = rng.standard_normal((1, 5, 6, 1)), np.array([[[[1e6, 3.0], [2.0, 2.0]]]])
    options = {"padding": "wrap"}
    check_gradients(
        partial(sample, **options),
        partial(sample_backward, **options),
        U,
        xy,
        rng=rng,
        knots=sampler_knots(),
        tolerance=1e-6,
    ).raise_if_wrong()


def test_only_floats_can_be_differenced(rng):
    with pytest.raises(TypeError, match="f's result has dtype int64"):
        check_gradients(lambda x: np.floor(x).astype(int), cube_backward, X, rng=rng)
    with pytest.raises(TypeError, match="the gradient of input 0 has dtype complex128"):
        check_gradients(cube, lambda dout, x: 1j * x, X, rng=rng)


def test_a_flat_function_passes_with_zero_and_fails_with_anything_else(rng):
    flat = lambda x: 0 * x + 5.0  # noqa: E731
    assert check_gradients(flat, lambda dout, x: 0 * x, X, rng=rng).ok
    assert not check_gradients(flat, lambda dout, x: 1e-3 * dout, X, rng=rng).ok


def test_without_its_knots_a_kink_looks_wrong_and_with_them_right(rng):
    x = np.array([-0.7, 1e-9, 0.6])
    right = lambda dout, x: np.sign(x) * dout  # noqa: E731
    assert not check_gradients(np.abs, right, x, rng=rng).ok
    assert check_gradients(np.abs, right, x, rng=rng, knots=no_crossing(np.sign)).ok


@pytest.mark.parametrize(
    ("slope", "ok", "side"),
    [(1, True, "right"), (-1, True, "left"), (0, True, "central"), (0.3, True, "in between"),
     (1.001, False, "outside"), (-2, False, "outside"), (np.nan, False, "")],
)  # fmt: skip
def test_on_a_knot_the_claim_lies_between_the_sides_and_is_named(slope, ok, side, rng):
    x = np.array([0.0, 0.5])
    claim = lambda dout, x: dout * np.where(x == 0, slope, 1)  # noqa: E731
    report = check_gradients(np.abs, claim, x, rng=rng, knots=no_crossing(np.sign))
    assert report.ok == ok
    assert f"on a knot: {side}" in str(report) and "off the knots" in str(report)


@pytest.mark.parametrize("tie", ["right", "left", "central"])
def test_the_sampler_takes_the_side_that_its_tie_names(tie, rng):
    report = on_knots(tie, 2, rng)
    sides = {row.where.split(",")[0] for row in report.rows if row.input == 1}
    assert f"on a knot: {tie}" in sides
    assert sides <= {f"on a knot: {tie}", "on a knot: either side", "off the knots"}


def test_eq_7_as_printed_lies_outside_the_one_sided_derivatives(rng):
    U, xy = rng.standard_normal((1, 5, 6, 1)), rng.integers(1, 4, (1, 3, 3, 2)).astype(float)

    def as_printed(dV, U, xy):
        return sample_backward(dV, U, xy, tie="paper")

    report = check_gradients(sample, as_printed, U, xy, rng=rng, knots=sampler_knots())
    assert not report.ok and "on a knot: outside" in str(report)
    off = xy + rng.uniform(0.2, 0.8, xy.shape)
    assert check_gradients(sample, as_printed, U, off, rng=rng, knots=sampler_knots()).ok


def test_pieces_change_at_every_end_of_a_kernel():
    for kernel, knots in ((BILINEAR, [0.0]), (hat(1.25), [0.0, 0.25, 0.75])):
        pieces = lambda x: sampler_pieces(np.full((1, 1, 1, 2), x), kernel)  # noqa: B023, E731
        for f in knots:
            assert not np.array_equal(pieces(f - 1e-9), pieces(f))
        assert np.array_equal(pieces(0.3), pieces(0.7))


def test_no_crossing_stops_short_of_the_nearest_knot():
    knots = no_crossing(np.floor)
    assert knots(np.array([0.5]), np.array([1.0])) == 0.25
    assert knots(np.array([0.3]), np.array([0.1])) == 1.0
    assert knots(np.array([2.0]), np.array([1.0])) == 0.0
    assert knots(np.array([2.0]), np.array([0.0])) == 1.0
