"""Forward mode: the transpose of every backward pass, on the knots and off them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import equations as eq
from stn_ref.backends import get
from stn_ref.backends.reference import transform_jvp
from stn_ref.equations.affine import (
    rotation_matrix_backward,
    rotation_matrix_jvp,
    translation_matrix_backward,
    translation_matrix_jvp,
)
from stn_ref.equations.arguments import per_axis, tangent
from stn_ref.equations.projective import projective_matrix_backward, projective_matrix_jvp
from stn_ref.proofs import cases
from stn_ref.proofs.jvpcheck import check_jvp
from stn_ref.proofs.knots import sampler_knots
from tests.conformance import KERNELS, points

reference = get("reference")

SIZE, OUT = (3, 2, 4), (2, 2, 5)  # D, H, W and D', H', W'
TIES = ("right", "left", "central")
RECORDS = [(t, axes) for axes, family in cases.FAMILIES.items() for t in family]

every = pytest.mark.parametrize("axes", (1, 2, 3))
each = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k.name}{k.Phi}")
record = pytest.mark.parametrize(
    ("transformation", "axes"), RECORDS, ids=[f"{t.name} {axes}-D" for t, axes in RECORDS]
)


def case(axes):
    """dV, U̇, ẋy, U and xy, up to three pixels outside; half of the coordinates lie on a knot."""
    rng = np.random.default_rng(axes)
    size, out = SIZE[-axes:], (2, *OUT[-axes:])
    dV, U_dot, U = (rng.standard_normal((2, *s, 2)) for s in (out[1:], size, size))
    return dV, U_dot, rng.standard_normal((*out, axes)), U, points(rng, out, size)


def options(kernel, padding):
    return {"kernel": kernel, "padding": padding, "fill": 0.7 if padding == "constant" else 0.0}


def assert_transposed(pairs, other):
    """Σ dV V̇ is the sum of the pairs' products: nothing but rounding between them."""
    ours = [np.nan_to_num(a, nan=0.0) * np.nan_to_num(b, nan=0.0) for a, b in pairs]
    theirs = np.nan_to_num(other[0], nan=0.0) * np.nan_to_num(other[1], nan=0.0)
    scale = sum(np.sum(np.abs(part)) for part in (*ours, theirs))
    assert scale > 0
    assert abs(sum(np.sum(part) for part in ours) - np.sum(theirs)) <= 1e-13 * scale


def assert_sampler_transposed(dV, U_dot, xy_dot, U, xy, kernel, padding, tie):
    row = options(kernel, padding)
    Phi_dot = [[0.3] * len(k.Phi) for k in per_axis(kernel, xy.shape[-1])]
    V_dot = eq.sample_jvp(U_dot, xy_dot, U, xy, Phi_dot=Phi_dot, tie=tie, **row)
    dU, dxy, dPhi = eq.sample_backward(dV, U, xy, tie=tie, **row)
    phis = (np.concatenate(dPhi), np.concatenate(Phi_dot))
    assert_transposed([(dU, U_dot), (dxy, xy_dot), phis], (dV, V_dot))


# Eqs. 6 and 7


def test_a_signal_by_hand():
    U = np.array([1.0, 4, 9, 16]).reshape(1, 4, 1)
    U_dot = np.array([0.0, 1, 3, 0]).reshape(1, 4, 1)
    x, x_dot = np.array([[[1.25], [3.5]]]), np.array([[[2.0], [-1.0]]])
    V_dot = eq.sample_jvp(U_dot, x_dot, U, x)
    assert_allclose(V_dot[0, :, 0], [0.75 * 1 + 0.25 * 3 + 2 * (9 - 4), -1 * (0 - 16)])


def test_each_weight_moves_with_its_own_axis_and_phi_by_hand():
    U = np.arange(12.0).reshape(1, 3, 4, 1) ** 2
    at, step = np.array([1.25, 1]).reshape(1, 1, 1, 2), np.array([0.0, 2]).reshape(1, 1, 1, 2)
    V_dot = eq.sample_jvp(0 * U, step, U, at)
    assert_allclose(V_dot.item(), 2 * (0.75 * (81 - 25) + 0.25 * (100 - 36)))
    wide = (eq.hat(1.5), eq.BILINEAR)
    V_dot = eq.sample_jvp(0 * U, 0 * step, U, at, kernel=wide, Phi_dot=[(2.0,), ()])
    assert_allclose(V_dot.item(), 2 * (16 * 1.25 + 25 * 0.25 + 36 * 0.75) / 1.5**2)


@every
@each
def test_forward_and_reverse_mode_are_transposed(axes, kernel):
    """To rounding, for every tie, on knots too; on signals each padding meets each tie."""
    for padding, tie in list(product(eq.PADDINGS, TIES))[:: (1, 2, 5)[axes - 1]]:
        assert_sampler_transposed(*case(axes), kernel, padding, tie)


@every
def test_eq_7_as_printed_has_its_transpose_too(axes):
    dV, U_dot, xy_dot, U, xy = case(axes)
    assert_sampler_transposed(dV, U_dot, xy_dot, U, np.round(xy), eq.BILINEAR, "zeros", "paper")


@every
@pytest.mark.parametrize("padding", eq.PADDINGS)
def test_they_are_transposed_where_points_are_not_finite_or_huge(axes, padding):
    dV, U_dot, xy_dot, U, xy = case(axes)
    for a, bad in product(range(axes), (np.nan, np.inf, -np.inf, 1e19)):
        far = xy.copy()
        far[0, ..., a] = bad
        assert_sampler_transposed(dV, U_dot, xy_dot, U, far, eq.keys(), padding, "right")


@every
@pytest.mark.parametrize("padding", eq.PADDINGS)
def test_v_dot_is_nan_where_v_is_and_infinity_does_not_move(axes, padding):
    _, U_dot, xy_dot, U, xy = case(axes)
    bad = points(np.random.default_rng(9), xy.shape[:-1], SIZE[-axes:])
    bad.flat[::3] = np.resize([np.nan, np.inf, -np.inf], bad.flat[::3].shape)
    V_dot = eq.sample_jvp(U_dot, xy_dot, U, bad, padding=padding)
    assert_array_equal(np.isnan(V_dot), np.isnan(eq.sample(U, bad, padding=padding)))
    faster = np.where(np.isfinite(bad), xy_dot, np.nan)  # whatever ẋ is there
    assert_array_equal(eq.sample_jvp(U_dot, faster, U, bad, padding=padding), V_dot)


@pytest.mark.parametrize("tie", TIES)
def test_on_a_knot_it_is_the_derivative_of_its_side_whatever_the_direction(tie):
    """So it is linear; along ẋ < 0 the directional derivative is that of the other side."""
    U, x = np.array([0.0, 1, 4, 9]).reshape(1, 4, 1), np.array([[[1.0], [2.0]]])
    ahead, behind = np.array([3.0, 5]), np.array([1.0, 3])
    slope = {"right": ahead, "left": behind, "central": (ahead + behind) / 2}[tie]
    for x_dot in (1.0, -1.0):
        V_dot = eq.sample_jvp(0 * U, np.full_like(x, x_dot), U, x, tie=tie)
        assert_array_equal(V_dot[0, :, 0], x_dot * slope)


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.longdouble))
def test_v_dot_has_the_dtype_and_the_layout_of_the_image(dtype):
    _, U_dot, xy_dot, U, xy = case(2)
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(U, -1, 1)), 1, -1).astype(dtype)
    V_dot = eq.sample_jvp(U_dot.astype(dtype), xy_dot, planar, xy)
    assert V_dot.dtype == dtype
    assert np.argsort(V_dot.strides).tolist() == np.argsort(planar.strides).tolist()
    assert_allclose(V_dot, eq.sample_jvp(U_dot, xy_dot, U, xy), atol=1e-5)


# §3.2


@record
@pytest.mark.parametrize("one_lattice", (True, False))
def test_a_grid_and_its_gradient_are_transposed(transformation, axes, one_lattice, rng):
    theta = cases.near_identity(transformation, rng)
    G = 0.9 * eq.target_grid(OUT[-axes:], align_corners=False) + 0.03
    G = G if one_lattice else np.stack([G, 0.5 * G - 0.1])
    theta_dot, G_dot = rng.standard_normal(theta.shape), rng.standard_normal(G.shape)
    grid_dot = transformation.grid_jvp(theta_dot, G_dot, theta, G)
    dgrid = rng.standard_normal(grid_dot.shape)
    dtheta, dG = transformation.grid_backward(dgrid, theta, G)
    assert_transposed([(dtheta, theta_dot), (dG, G_dot)], (dgrid, grid_dot))


@record
def test_grid_dot_has_the_dtype_of_the_grid(transformation, axes, rng):
    theta, G = cases.near_identity(transformation, rng), eq.target_grid(OUT[-axes:])
    for types in product((np.float32, np.float64), repeat=2):
        args = [a.astype(t) for a, t in zip((theta, G), types, strict=True)]
        grid_dot = transformation.grid_jvp(*args, *args)
        assert grid_dot.dtype == transformation.grid(*args).dtype == np.result_type(*types)


@pytest.mark.parametrize(
    ("jvp", "backward", "parameters"),
    [
        (rotation_matrix_jvp, rotation_matrix_backward, 1),
        (translation_matrix_jvp, translation_matrix_backward, 2),
        (projective_matrix_jvp, projective_matrix_backward, 8),
    ],
    ids=["rotation", "translation", "projective"],
)
def test_a_matrix_and_its_gradient_are_transposed(jvp, backward, parameters, rng):
    theta, theta_dot = rng.standard_normal((2, 3, parameters))
    M_dot = jvp(theta_dot, theta)
    dM = rng.standard_normal(M_dot.shape)
    assert_transposed([(backward(dM, theta), theta_dot)], (dM, M_dot))


def test_on_the_horizon_nothing_moves():
    theta = np.array([[1, 0, 0, 0, 1, 0, 1, 0]], float)  # w = x + 1
    G = np.array([[[-1.0, 0.0], [1.0, 0.5]]])
    grid_dot = eq.PROJECTIVE.grid_jvp(np.ones((1, 8)), np.ones(G.shape), theta, G)
    assert_array_equal(grid_dot[0, 0, 0], [0, 0])
    assert np.all(grid_dot[0, 0, 1] != 0)


@pytest.mark.parametrize("align_corners", (True, False))
def test_pixels_move_by_the_half_extent(align_corners):
    xy_dot = eq.to_pixels_jvp(np.ones((1, 1, 1, 2)), (3, 9), align_corners=align_corners)
    assert_array_equal(xy_dot[0, 0, 0], [4, 1] if align_corners else [4.5, 1.5])


def test_a_transformation_without_forward_mode_says_so_and_does_all_else(rng):
    own = replace(eq.ROTATION, name="swirl", grid_jvp=None)
    layers = [(rng.uniform(-0.1, 0.1, (16, 1)), np.zeros(1))]
    U = rng.standard_normal((2, 4, 4, 1))
    V = eq.spatial_transformer(U, layers, transformation=own)
    eq.spatial_transformer_backward(V, U, layers, transformation=own)
    with pytest.raises(ValueError, match="transformation swirl has no grid_jvp; forward mode"):
        eq.spatial_transformer_jvp(U, layers, U, layers, transformation=own)
    both = eq.compose(eq.AFFINE, own)
    theta, G = both.identity()[None], eq.target_grid((2, 2))
    with pytest.raises(ValueError, match="transformation swirl has no grid_jvp"):
        both.grid_jvp(theta, G, theta, G)
    basis = eq.linear(lambda G: G, lambda dB, G: dB, np.eye(2), name="plain")
    theta = np.eye(2)[None]
    assert_array_equal(basis.grid(theta, G)[0], G)
    with pytest.raises(ValueError, match=r"plain has no basis_jvp\(G_dot, G\)"):
        basis.grid_jvp(theta, G, theta, G)


# §3.1 and §3.4


@pytest.fixture
def network(rng):
    """U̇, ẇ, U and w of a module that sees."""
    U_dot, U = rng.standard_normal((2, 2, *cases.SOURCE, 1))
    layers = eq.initial_layers(rng, U[0].size, (7, 6), eq.AFFINE.identity())
    layers[-1] = (rng.uniform(-0.3, 0.3, layers[-1][0].shape), layers[-1][1])
    dots = [(rng.standard_normal(W.shape), rng.standard_normal(b.shape)) for W, b in layers]
    return U_dot, dots, U, layers


def assert_network_transposed(out, out_dot, dU, dlayers, network):
    U_dot, dots, _, _ = network
    weights = zip(cases.flattened(dlayers), cases.flattened(dots), strict=True)
    assert_transposed([(dU, U_dot), *weights], (out, out_dot))


def test_the_localisation_network_and_its_gradient_are_transposed(network, rng):
    theta_dot = eq.f_loc_jvp(*network)
    dtheta = rng.standard_normal(theta_dot.shape)
    assert_network_transposed(dtheta, theta_dot, *eq.f_loc_backward(dtheta, *network[2:]), network)


@pytest.mark.parametrize(
    "transformation", cases.TRANSFORMATIONS[:1] + cases.TRANSFORMATIONS[5:7], ids=lambda t: t.name
)
def test_the_module_and_its_gradient_are_transposed(network, rng, transformation):
    U_dot, dots, U, layers = network
    start = transformation.identity()
    for net in (layers, dots):
        F = net[-1][0].shape[0]
        net[-1] = rng.uniform(-0.2, 0.2, (F, *start.shape)), rng.uniform(-0.1, 0.1, start.shape)
    layers[-1][1][...] += start
    how = {"transformation": transformation, "padding": "border", "align_corners": False}
    how["kernel"] = (eq.keys(), eq.BILINEAR)
    V_dot = eq.spatial_transformer_jvp(U_dot, dots, U, layers, size=(3, 4), **how)
    dV = rng.standard_normal(V_dot.shape)
    back = eq.spatial_transformer_backward(dV, U, layers, **how)
    assert V_dot.shape == (2, 3, 4, 1)
    assert_network_transposed(dV, V_dot, *back, network)


def test_the_module_takes_the_side_of_its_tie(network, rng):
    """At the identity, where many of its points are on knots."""
    U_dot, dots, _, layers = network
    layers[-1] = (0 * layers[-1][0], layers[-1][1])
    U, found = rng.standard_normal(U_dot.shape), []
    for tie in TIES:
        V_dot = eq.spatial_transformer_jvp(U_dot, dots, U, layers, tie=tie)
        back = eq.spatial_transformer_backward(V_dot, U, layers, tie=tie)
        assert_network_transposed(V_dot, V_dot, *back, network)
        found.append(V_dot)
    assert not np.allclose(found[0], found[1])
    assert_allclose(found[2], (found[0] + found[1]) / 2, atol=1e-12)


def test_the_size_of_the_module_is_that_of_its_image_unless_given(network):
    assert eq.spatial_transformer_jvp(*network).shape == network[2].shape


@record
@pytest.mark.parametrize("tie", TIES)
def test_the_fused_path_and_its_gradient_are_transposed_at_the_identity(
    transformation, axes, tie, rng
):
    """Where most of the points are on knots, and rounding may not choose their sides."""
    U, U_dot, dV = rng.standard_normal((3, 2, *SIZE[-axes:], 2))
    theta = np.stack([transformation.identity()] * 2)
    theta_dot, how = rng.standard_normal(theta.shape), {"transformation": transformation}
    V_dot = transform_jvp(U_dot, theta_dot, U, theta, tie=tie, **how)
    dU, dtheta = reference.transform_backward(dV, U, theta, tie=tie, **how)
    assert_transposed([(dU, U_dot), (dtheta, theta_dot)], (dV, V_dot))


@pytest.mark.parametrize("dtype", (np.float32, np.longdouble))
def test_the_fused_path_keeps_the_dtype_of_the_image(dtype, rng):
    U, theta = rng.standard_normal((1, 3, 4, 1)).astype(dtype), np.zeros((1, 2, 3), dtype)
    V_dot = transform_jvp(U, theta, U, theta, size=(2, 5), padding="border")
    assert V_dot.dtype == dtype and V_dot.shape == (1, 2, 5, 1)
    with pytest.raises(ValueError, match="theta_dot has shape"):
        transform_jvp(U, theta[:, :1], U, theta)


# the checker


def test_a_right_forward_mode_passes_and_a_wrong_one_fails(rng):
    x = 1e5 * np.linspace(-0.9, 1.1, 7)
    cube = lambda x, y: x**3 * y  # noqa: E731
    right = lambda x_dot, y_dot, x, y: 3 * x**2 * x_dot * y + x**3 * y_dot  # noqa: E731
    half = lambda x_dot, y_dot, x, y: 3 * x**2 * x_dot * y  # noqa: E731
    assert check_jvp(cube, right, x, x + 1, rng=rng).error < 1e-10
    report = check_jvp(cube, half, x, x + 1, rng=rng)
    assert [row.error <= report.tolerance for row in report.rows] == [True, False]
    with pytest.raises(ValueError, match=r"f_jvp's result has shape \(\); expected \(7,\)"):
        check_jvp(cube, lambda *args: right(*args).sum(), x, x, rng=rng)
    with pytest.raises(TypeError, match="input 1 has dtype float32"):
        check_jvp(cube, right, x, x.astype(np.float32), rng=rng)
    own = lambda x_dot, x: tangent("x_dot", x_dot, "x", x)  # noqa: E731
    assert check_jvp(np.sin, own, np.zeros(7, np.longdouble), rng=rng).ok


@pytest.mark.parametrize("tie", TIES)
def test_on_knots_the_checker_tells_the_side(tie, rng):
    _, _, _, U, xy = case(2)
    forward = lambda *args: eq.sample_jvp(*args, tie=tie)  # noqa: E731
    report = check_jvp(eq.sample, forward, U, np.round(xy), rng=rng, knots=sampler_knots())
    report.raise_if_wrong()
    assert f"on a knot: {tie}" in str(report)
    other = "left" if tie != "left" else "right"
    twice = lambda *args: 2 * forward(*args) - eq.sample_jvp(*args, tie=other)  # noqa: E731
    if tie != "central":
        assert not check_jvp(eq.sample, twice, U, np.round(xy), rng=rng, knots=sampler_knots()).ok


# bad input

U, XY = np.ones((2, 3, 4, 1)), np.ones((2, 2, 2, 2))
G, THETA, LAYERS = eq.target_grid((2, 2)), np.ones((2, 2, 3)), [(np.ones((12, 3)), np.ones(3))]
ROWS = {"kernel": (eq.hat(1.5), eq.BILINEAR)}
BAD = {
    "U_dot's shape": (lambda: eq.sample_jvp(U[:1], XY, U, XY), r"U_dot has shape \(1, 3, 4, 1\)"),
    "xy_dot's shape": (lambda: eq.sample_jvp(U, XY[:1], U, XY), "xy_dot has shape"),
    "U_dot's dtype": (
        lambda: eq.sample_jvp(U.astype("f4"), XY, U, XY),
        "cast U_dot with U_dot.astype",
    ),
    "xy_dot's dtype": (lambda: eq.sample_jvp(U, XY.astype("f4"), U, XY), "xy_dot has dtype"),
    "tie": (lambda: eq.sample_jvp(U, XY, U, XY, tie="both"), "tie is 'both'"),
    "Phi_dot's axes": (
        lambda: eq.sample_jvp(U, XY, U, XY, Phi_dot=[(1.0,)], **ROWS),
        r"Phi_dot is \[\(1.0,\)\]; expected, one an axis, \[1, 0\] numbers",
    ),
    "Phi_dot's numbers": (
        lambda: eq.sample_jvp(U, XY, U, XY, Phi_dot=[("1",), ()], **ROWS),
        "Phi_dot is '1'; expected a number",
    ),
    "Phi_dot as a number": (
        lambda: eq.sample_jvp(U, XY, U, XY, Phi_dot=1.0, **ROWS),
        r"Phi_dot is 1.0; expected, one an axis, \[1, 0\] numbers",
    ),
    "theta_dot": (
        lambda: eq.AFFINE.grid_jvp(THETA[:1], G, THETA, G),
        r"theta_dot has shape \(1, 2, 3\); expected \(2, 2, 3\)",
    ),
    "G_dot": (lambda: eq.ROTATION.grid_jvp(THETA[:, 0, :1], G[:1], THETA[:, 0, :1], G), "G_dot"),
    "grid_dot": (lambda: eq.to_pixels_jvp(XY[0], (3, 4)), "grid_dot has shape"),
    "layers_dot": (lambda: eq.f_loc_jvp(U, [], U, LAYERS), "layers_dot has 0 layers; expected 1"),
    "a layer alone": (
        lambda: eq.f_loc_jvp(U, [np.ones(3)], U, LAYERS),
        r"layers_dot\[0\] is a ndarray; expected a pair",
    ),
    "a layer's shape": (
        lambda: eq.f_loc_jvp(U, [(np.ones((12, 2)), np.ones(3))], U, LAYERS),
        r"layers_dot\[0\] W has shape \(12, 2\); expected \(12, 3\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tangents_say_what_was_given_and_what_was_expected(name):
    call, message = BAD[name]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@every
def test_empty_batches_channels_and_outputs_have_empty_tangents(axes):
    for B, C, last in ((0, 1, 2), (1, 0, 2), (1, 1, 0)):
        image = np.ones((B, *SIZE[-axes:], C))
        xy = np.ones((B, *(2,) * (axes - 1), last, axes))
        assert eq.sample_jvp(image, xy, image, xy).shape == (*xy.shape[:-1], C)
