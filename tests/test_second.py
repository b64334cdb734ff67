"""Second derivatives of the sampler: Hessian-vector products, and double backward."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import equations as eq
from stn_ref.proofs.jvpcheck import check_jvp
from stn_ref.proofs.knots import no_crossing, sampler_pieces
from tests.conformance import KERNELS
from tests.test_jvp import SIZE, TIES, assert_transposed, case, options

every = pytest.mark.parametrize("axes", (1, 2, 3))
each = pytest.mark.parametrize(
    "kernel", [k for k in KERNELS if k is not eq.INTEGER], ids=lambda k: f"{k.name}{k.Phi}"
)


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays])


def test_a_bilinear_cell_by_hand():
    """No k″, and yet a Hessian: V = (1−x)(1−y) a + x(1−y) b + (1−x)y c + xy d."""
    a, b, c, d = 1.0, 3.0, 6.0, 20.0
    U, xy = np.array([a, b, c, d]).reshape(1, 2, 2, 1), np.array([0.25, 0.5]).reshape(1, 1, 1, 2)
    one = np.ones((1, 1, 1, 1))
    along_x = np.array([1.0, 0]).reshape(xy.shape)
    dU_dot, dxy_dot = eq.sample_backward_jvp(0 * one, 0 * U, along_x, one, U, xy)
    assert_array_equal(dU_dot.ravel(), [-0.5, 0.5, -0.5, 0.5])  # ∂k/∂x times k
    assert_array_equal(dxy_dot.ravel(), [0, a - b - c + d])
    dU_dot, dxy_dot = eq.sample_backward_jvp(0 * one, U, 0 * xy, 2 * one, U, xy)
    assert_array_equal(dU_dot, 0 * U)  # V is linear in U
    assert_array_equal(dxy_dot, eq.sample_backward(2 * one, U, xy)[1])


def test_a_signal_with_a_curved_kernel_by_hand():
    U, x = np.array([2.0, 3, 5, 11]).reshape(1, 4, 1), np.array([[[1.25]]])
    one = np.ones((1, 1, 1))
    spline = eq.bspline(3)
    _, curvature = eq.sample_backward_jvp(
        0 * one, 0 * U, 3 * np.ones_like(x), one, U, x, kernel=spline
    )
    # k″ at t = 1.25, .25, −.75, −1.75
    assert_allclose(curvature.item(), 3 * (2 * 0.75 - 3 * 1.25 + 5 * 0.25 + 11 * 0.25))


@every
@each
def test_the_hessian_is_symmetric(axes, kernel):
    """u·Hv = v·Hu, for every tie, on knots too: so forward over reverse is reverse over reverse."""
    dV, *u, U, xy = case(axes)
    rng = np.random.default_rng(7)
    v = rng.standard_normal(U.shape), rng.standard_normal(xy.shape)
    for padding, tie in list(product(eq.PADDINGS, TIES))[:: (2, 5, 7)[axes - 1]]:
        how = options(kernel, padding) | {"tie": tie}
        Hu, Hv = (flat(eq.sample_backward_jvp(0 * dV, *w, dV, U, xy, **how)) for w in (u, v))
        assert_transposed([(Hu, flat(v))], (Hv, flat(u)))


@every
def test_the_nearest_pixel_has_no_second_derivatives(axes):
    dV, U_dot, xy_dot, U, xy = case(axes)
    assert not flat(
        eq.sample_backward_jvp(0 * dV, U_dot, xy_dot, dV, U, xy, kernel=eq.INTEGER)
    ).any()


@every
def test_it_is_linear_in_the_gradient_that_arrives(axes):
    """Along dV̇ alone it is `sample_backward` of dV̇, and all three add up."""
    dV, U_dot, xy_dot, U, xy = case(axes)
    f = partial(eq.sample_backward_jvp, kernel=eq.keys(), padding="wrap", tie="left")
    alone = f(dV, 0 * U, 0 * xy, 5 * dV, U, xy)
    back = eq.sample_backward(dV, U, xy, kernel=eq.keys(), padding="wrap", tie="left")
    whole = f(dV, U_dot, xy_dot, dV, U, xy)
    rest = f(0 * dV, U_dot, xy_dot, dV, U, xy)
    for k in (0, 1):
        assert_allclose(alone[k], back[k], atol=1e-14)
        assert_allclose(whole[k], alone[k] + rest[k], atol=1e-13)


@pytest.mark.parametrize("kernel", [eq.keys(), eq.lanczos(2), eq.bspline(2)], ids=lambda k: k.name)
@pytest.mark.parametrize("tie", ("right", "left"))
def test_on_a_knot_the_curvature_is_that_of_its_side(kernel, tie, rng):
    """Where k′ is continuous and k″ jumps."""
    dV, _, _, U, xy = case(1)
    half = kernel.support % 1  # bspline2 has its knots between the pixels
    xy = np.round(xy) + half

    def f(xy):
        return eq.sample_backward(dV, U, xy, kernel=kernel, padding="border", tie=tie)[1]

    def f_jvp(xy_dot, xy):
        how = {"kernel": kernel, "padding": "border", "tie": tie}
        return eq.sample_backward_jvp(0 * dV, 0 * U, xy_dot, dV, U, xy, **how)[1]

    knots = no_crossing(lambda xy: sampler_pieces(xy, kernel))
    report = check_jvp(f, f_jvp, xy, rng=rng, knots=knots)
    report.raise_if_wrong()
    assert f"on a knot: {tie}" in str(report)


@every
@pytest.mark.parametrize("padding", eq.PADDINGS)
def test_points_that_are_no_place_are_nan_and_reach_nothing(axes, padding):
    dV, U_dot, xy_dot, U, xy = case(axes)
    far = xy.copy()
    far.flat[::7] = np.resize([np.nan, np.inf, -np.inf], far.flat[::7].shape)
    gone = np.isnan(eq.sample_backward(dV, U, far, padding=padding)[1])
    f = partial(eq.sample_backward_jvp, padding=padding)
    dU_dot, dxy_dot = f(dV, U_dot, xy_dot, dV, U, far)
    assert_array_equal(np.isnan(dxy_dot), gone)
    assert np.isfinite(dU_dot).all() and gone.any() and not gone.all()
    silent = np.where(gone[..., :1], 0, dV)
    faster = np.where(np.isfinite(far), xy_dot, np.nan)  # whatever ẋ is there
    for k, again in enumerate(f(silent, U_dot, faster, silent, U, far)):
        assert_allclose(again, (dU_dot, dxy_dot)[k], atol=1e-14)
    if not gone[np.isinf(far)].all():
        assert_array_equal(dxy_dot[np.isinf(far) & ~gone], 0)


@every
def test_a_pixel_that_is_not_finite_reaches_only_points_that_tap_it(axes):
    U = np.ones((1, *(4,) * axes, 1))
    U[(0, *(0,) * axes)] = np.inf
    xy = np.array([[0.5] * axes, [1.25] * axes, [9.0] * axes]).reshape(
        1, *[1] * (axes - 1), 3, axes
    )
    dV, still = np.ones((*xy.shape[:-1], 1)), np.ones(U.shape)
    for tie in TIES:
        V_dot = eq.sample_jvp(still, xy, U, xy, tie=tie)
        dU_dot, dxy_dot = eq.sample_backward_jvp(dV, still, xy, dV, U, xy, tie=tie)
        for found in (V_dot[..., :1, :], dxy_dot[..., :1, :]):
            assert not np.isfinite(found).any()
        for found in (V_dot[..., 1:, :], dxy_dot[..., 1:, :], dU_dot):
            assert np.isfinite(found).all()


def test_a_kernel_without_a_second_derivative_is_named_with_the_column():
    dV, U_dot, xy_dot, U, xy = case(2)
    mine = replace(eq.keys(), name="mine", d2k=None)
    for kernel, name in ((mine, "mine"), (eq.normalised(mine), "normalised mine")):
        eq.sample_jvp(U_dot, xy_dot, U, xy, kernel=kernel)
        with pytest.raises(ValueError, match=f"kernel {name} has no d2k; second derivatives need"):
            eq.sample_backward_jvp(dV, U_dot, xy_dot, dV, U, xy, kernel=(eq.BILINEAR, kernel))


def test_bad_tangents_say_what_was_given_and_what_was_expected():
    dV, U_dot, xy_dot, U, xy = case(2)
    for args, message in (
        ((dV[:1], U_dot, xy_dot, dV), "dV_dot has shape"),
        ((dV, U_dot[:1], xy_dot, dV), "U_dot has shape"),
        ((dV, U_dot, xy_dot[:1], dV), "xy_dot has shape"),
        ((dV, U_dot, xy_dot, dV[:1]), "dV has shape"),
        ((dV.astype("f4"), U_dot, xy_dot, dV), "dV_dot has dtype float32 and dV has float64"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            eq.sample_backward_jvp(*args, U, xy)


def test_results_keep_dtypes_and_layout():
    dV, U_dot, xy_dot, U, xy = case(2)
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(U, -1, 1)), 1, -1).astype(np.float32)
    single = [d.astype(np.float32) for d in (dV, U_dot, dV)]
    dU_dot, dxy_dot = eq.sample_backward_jvp(*single[:2], xy_dot, single[2], planar, xy)
    assert (dU_dot.dtype, dxy_dot.dtype) == (np.float32, np.float64)
    assert np.argsort(dU_dot.strides).tolist() == np.argsort(planar.strides).tolist()
    wide = eq.sample_backward_jvp(dV, U_dot, xy_dot, dV, U, xy)
    assert_allclose(dU_dot, wide[0], atol=1e-5)
    assert_allclose(dxy_dot, wide[1], atol=1e-5)


@every
def test_empty_batches_channels_and_outputs_give_empty_results(axes):
    for B, C, last in ((0, 1, 2), (1, 0, 2), (1, 1, 0)):
        U, xy = np.ones((B, *SIZE[-axes:], C)), np.ones((B, *(2,) * (axes - 1), last, axes))
        dV = np.ones((*xy.shape[:-1], C))
        dU_dot, dxy_dot = eq.sample_backward_jvp(dV, U, xy, dV, U, xy)
        assert (dU_dot.shape, dxy_dot.shape) == (U.shape, xy.shape)
        assert not dU_dot.any() and not dxy_dot.any()


# beside two frameworks that differentiate by themselves

MODES = [("bilinear", eq.BILINEAR), ("bicubic", eq.keys())]


@pytest.mark.parametrize("padding", ("zeros", "reflection"))
@pytest.mark.parametrize(
    ("axes", "mode", "kernel"), [(2, *MODES[0]), (2, *MODES[1]), (3, *MODES[0])]
)
def test_double_backward_is_that_of_pytorch(axes, mode, kernel, padding, rng):
    torch = pytest.importorskip("torch")
    """On knots too, in the right cell; but a mirrored coordinate looks the other way there."""
    size, out = (3, 3, 5)[-axes:], (2, *(3, 2, 4)[-axes:])
    xy = rng.uniform(-2, np.array(size[::-1]) + 1.0, (*out, axes))
    if padding == "zeros":
        xy = np.where(rng.random(xy.shape) < 0.5, np.round(xy), xy)
    half = (np.array(size[::-1]) - 1) / 2
    grid = xy / half - 1  # exact where xy is whole
    dV, ddgrid = rng.standard_normal((*out, 2)), rng.standard_normal(grid.shape)
    U, ddU = rng.standard_normal((2, 2, *size, 2))
    first = [torch.tensor(np.moveaxis(a, -1, 1), requires_grad=True) for a in (dV, U)]
    given = torch.tensor(grid, requires_grad=True)
    V = torch.nn.functional.grid_sample(
        first[1], given, mode=mode, padding_mode=padding, align_corners=True
    )
    backward = torch.autograd.grad(V, (first[1], given), first[0], create_graph=True)
    arriving = (torch.tensor(np.moveaxis(ddU, -1, 1)), torch.tensor(ddgrid))
    truth = [d.numpy() for d in torch.autograd.grad(backward, (*first, given), arriving)]

    ddxy = eq.to_pixels_jvp(ddgrid, size)
    how = {"kernel": kernel, "padding": padding}
    dU, dxy = eq.sample_backward_jvp(0 * dV, ddU, ddxy, dV, U, xy, **how)
    found = [np.moveaxis(d, -1, 1) for d in (eq.sample_jvp(ddU, ddxy, U, xy, **how), dU)]
    for ours, theirs in zip((*found, eq.to_pixels_backward(dxy, size)), truth, strict=True):
        assert_allclose(ours, theirs, atol=1e-11)


def test_the_hessian_is_that_of_jax():
    """Forward over reverse, as here; a point is (row, column) there."""
    jax = pytest.importorskip("jax")
    from jax.scipy.ndimage import map_coordinates

    dV, U_dot, xy_dot, U, xy = case(2)
    xy = np.floor(xy) + 0.2 + 0.1 * (xy % 1)

    def loss(image, points):
        rows_and_columns = [points[..., 1], points[..., 0]]
        return (dV[0, ..., 0] * map_coordinates(image, rows_and_columns, 1)).sum()

    first = (U[0, ..., 0], xy[0]), (U_dot[0, ..., 0], xy_dot[0])
    with jax.enable_x64(True):
        _, truth = jax.jvp(jax.grad(loss, argnums=(0, 1)), *first)
    dU_dot, dxy_dot = eq.sample_backward_jvp(
        0 * dV[..., :1], U_dot[..., :1], xy_dot, dV[..., :1], U[..., :1], xy
    )
    assert_allclose(dU_dot[0, ..., 0], truth[0], atol=1e-12)
    assert_allclose(dxy_dot[0], truth[1], atol=1e-12)
