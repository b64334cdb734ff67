"""Every backend: its signature, the centred formula, the exact identity."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import stn_ref
from stn_ref import backends
from stn_ref.backends.pixels import source_pixels, source_pixels_backward
from stn_ref.equations import (
    AFFINE,
    BILINEAR,
    INTEGER,
    PROJECTIVE,
    SIMILARITY,
    Transformation,
    affine,
    hat,
    keys,
    lanczos,
    sample,
    sample_backward,
    target_grid,
    to_pixels,
)
from tests.simulator import SIMULATED
from tests.strategies import WITH_MATRIX

NAMES = ("sample", "sample_backward", "transform", "transform_backward")
HERE = [name for name in backends.BACKENDS if backends.get(name).is_available()]
each = pytest.mark.parametrize("backend", HERE)
sides = st.integers(1, 5 if SIMULATED else 40)
sizes = st.tuples(sides, sides)


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_backend_can_run_here_or_says_why_not(backend):
    found = backends.get(backend)
    assert found is backends.get(backend) and found.is_available() is (found.why_not() == "")


@pytest.mark.parametrize("name", NAMES)
def test_the_door_adds_only_the_choice_of_a_backend(name):
    door = dict(inspect.signature(getattr(stn_ref, name)).parameters)
    assert door.pop("backend").default == "auto"
    assert door == dict(inspect.signature(getattr(backends.get("cpu"), name)).parameters)


@each
@pytest.mark.parametrize(
    "kernel", [BILINEAR, INTEGER, keys(), keys(-0.5), lanczos()], ids=lambda k: k.name
)
@given(size=sizes, align_corners=st.booleans(), single=st.booleans(), seed=st.integers(0, 99))
def test_the_identity_returns_the_image_bit_for_bit(
    backend, kernel, size, align_corners, single, seed
):
    dtype = np.float32 if single else np.float64
    U = np.random.default_rng(seed).standard_normal((1, *size, 2)).astype(dtype)
    for transformation in WITH_MATRIX:
        theta = transformation.identity()[None].astype(dtype)
        V = stn_ref.transform(
            U,
            theta,
            transformation=transformation,
            kernel=kernel,
            align_corners=align_corners,
            backend=backend,
        )
        assert_array_equal(V, U)


@pytest.mark.parametrize("transformation", WITH_MATRIX, ids=lambda t: t.name)
@given(size=sizes, source=sizes, align_corners=st.booleans(), seed=st.integers(0, 99))
def test_the_centred_formula_is_the_two_steps_of_the_paper(
    transformation, size, source, align_corners, seed
):
    identity = transformation.identity()
    theta = identity + np.random.default_rng(seed).uniform(-0.3, 0.3, (2, *identity.shape))
    grid = transformation.grid(theta, target_grid(size, align_corners=align_corners))
    two_steps = to_pixels(grid, source, align_corners=align_corners)
    one = source_pixels(theta, transformation, size, source, align_corners)
    assert_allclose(one, two_steps, atol=1e-12)


def test_the_two_steps_miss_whole_pixels_and_the_formula_does_not():
    misses = 0
    for size in range(2, 60):
        G = target_grid((size, size))
        xy = to_pixels(AFFINE.grid(AFFINE.identity()[None], G), (size, size))
        misses += not np.array_equal(xy, np.round(xy))
        theta = AFFINE.identity()[None]
        exact = source_pixels(theta, AFFINE, (size, size), (size, size), True)
        assert_array_equal(exact[0, ..., 0], np.tile(np.arange(size), (size, 1)))
    assert misses > 10


def test_a_translation_by_whole_pixels_is_a_shift(rng):
    U = rng.standard_normal((1, 5, 9, 2))
    theta = np.array([[[1, 0, 2 / 4], [0, 1, -1 / 2]]])  # c̃ is 4 and 2: two right, one up
    V = stn_ref.transform(U, theta)
    expected = np.zeros_like(U)
    expected[:, 1:, :-2] = U[:, :-1, 2:]
    assert_array_equal(V, expected)


PERSPECTIVE = Transformation(
    "a user's own",
    lambda: np.eye(3),
    grid=None,
    grid_backward=None,
    matrix=lambda theta: theta,
    matrix_backward=lambda dmatrix, theta: dmatrix,
)


def test_a_matrix_with_another_last_row_divides():
    theta = np.array([[[1.0, 0.2, 0.1], [0.0, 0.8, 0.3], [0.2, -0.1, 1.5]]])
    xy = source_pixels(theta, PERSPECTIVE, (3, 4), (5, 6), True)
    P = np.concatenate([target_grid((3, 4)), np.ones((3, 4, 1))], axis=-1)
    projected = np.einsum("kl,ijl->ijk", theta[0], P)
    grid = projected[None, ..., :2] / projected[None, ..., 2:]
    assert_allclose(xy, to_pixels(grid, (5, 6)), atol=1e-14)


def test_the_gradient_of_the_divide_agrees_with_differences(rng):
    theta = np.eye(3) + rng.uniform(-0.2, 0.2, (2, 3, 3))
    report = stn_ref.check_gradients(
        lambda theta: source_pixels(theta, PERSPECTIVE, (3, 4), (5, 6), False),
        lambda dxy, theta: source_pixels_backward(dxy, theta, PERSPECTIVE, (5, 6), False),
        theta,
        rng=rng,
    )
    report.raise_if_wrong()


def test_where_the_denominator_is_zero_nothing_flows_back():
    theta = np.array([[[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]])  # den = x^t: 0 in the middle column
    xy = source_pixels(theta, PERSPECTIVE, (3, 3), (3, 3), True)
    assert not np.isfinite(xy[0, :, 1]).any() and np.isfinite(xy[0, :, [0, 2]]).all()
    dxy = np.zeros((1, 3, 3, 2))
    dxy[0, :, 1] = 1
    dtheta = source_pixels_backward(dxy, theta, PERSPECTIVE, (3, 3), True)
    assert_array_equal(dtheta, np.zeros((1, 3, 3)))


def test_a_point_at_infinity_has_no_slope_for_the_divide():
    theta = np.array([[[np.inf, 0, 1], [0, 1, 0], [0.1, 0, 1]]])
    dxy = np.zeros((1, 3, 3, 2))
    dtheta = source_pixels_backward(dxy, theta, PERSPECTIVE, (3, 3), True)
    assert_array_equal(dtheta, np.zeros((1, 3, 3)))


WAVE = Transformation(
    "no matrix",
    lambda: np.zeros(1),
    grid=lambda theta, G: G + theta[:, None, None] * np.sin(G[..., ::-1]),
    grid_backward=lambda dgrid, theta, G: (
        np.sum(dgrid * np.sin(G[..., ::-1]), axis=(1, 2, 3))[:, None],
        None,
    ),
)


@each
def test_a_transformation_without_a_matrix_goes_through_its_grid(backend, rng):
    U, theta = rng.standard_normal((2, 5, 6, 2)), np.array([[0.3], [-0.4]])
    module = backends.get(backend)
    V = module.transform(U, theta, transformation=WAVE, size=(4, 3), align_corners=False)
    G = target_grid((4, 3), align_corners=False)
    xy = to_pixels(WAVE.grid(theta, G), (5, 6), align_corners=False)
    assert_allclose(V, sample(U, xy), atol=1e-13)
    dU, dtheta = module.transform_backward(V, U, theta, transformation=WAVE, align_corners=False)
    expected_dU, dxy, _ = sample_backward(V, U, xy)
    expected, _ = WAVE.grid_backward(dxy * [3, 2.5], theta, G)
    assert_allclose(dU, expected_dU, atol=1e-13)
    assert_allclose(dtheta, expected, atol=1e-12)


@each
def test_every_option_reaches_both_ways(backend, rng):
    """Each is set to something else than its default, and the result compared with the parts."""
    U, dV = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((2, 4, 3, 3))
    theta = SIMILARITY.identity() + rng.uniform(-0.3, 0.3, (2, 4))
    sampling = {"kernel": (keys(), hat(1.5)), "padding": "constant", "fill": 0.7}
    options = {"transformation": SIMILARITY, "align_corners": False, "backend": backend}
    V = stn_ref.transform(U, theta, size=(4, 3), **sampling, **options)
    dU, dtheta = stn_ref.transform_backward(dV, U, theta, tie="left", **sampling, **options)
    xy = source_pixels(theta, SIMILARITY, (4, 3), (5, 6), False)
    assert_allclose(V, sample(U, xy, **sampling), atol=1e-13)
    V_door = stn_ref.sample(U, xy, backend=backend, deterministic=False, **sampling)
    assert_allclose(V_door, V, atol=1e-13)
    expected_dU, dxy, dPhi = sample_backward(dV, U, xy, tie="left", **sampling)
    expected = source_pixels_backward(dxy, theta, SIMILARITY, (5, 6), False)
    assert_allclose(dU, expected_dU, atol=1e-13)
    assert_allclose(dtheta, expected, atol=1e-12)
    door = stn_ref.sample_backward(dV, U, xy, tie="left", backend=backend, **sampling)
    assert_allclose(door[1], dxy, atol=1e-13)
    assert_allclose(np.concatenate(door[2]), np.concatenate(dPhi), atol=1e-12)


class Swirl:
    """A user's own, with only what a transformation must have."""

    name = "swirl"
    identity = staticmethod(lambda: [0.0])
    grid, grid_backward = staticmethod(WAVE.grid), staticmethod(WAVE.grid_backward)


@each
def test_a_users_record_may_lack_what_it_does_not_use(backend, rng):
    U, theta = rng.standard_normal((2, 5, 6, 2)), np.array([[0.3], [-0.4]])
    module = backends.get(backend)
    V = module.transform(U, theta, transformation=Swirl())
    assert_array_equal(V, module.transform(U, theta, transformation=WAVE))
    dU, dtheta = module.transform_backward(V, U, theta, transformation=Swirl())
    assert_array_equal(dtheta, module.transform_backward(V, U, theta, transformation=WAVE)[1])


@each
def test_single_precision_parameters_are_computed_in_double(backend, rng):
    U = rng.standard_normal((1, 9, 9, 1))
    theta = (AFFINE.identity() + rng.uniform(-0.3, 0.3, (1, 2, 3))).astype(np.float32)
    module = backends.get(backend)
    assert_array_equal(module.transform(U, theta), module.transform(U, theta.astype(float)))
    _, dtheta = module.transform_backward(U, U, theta)
    _, wide = module.transform_backward(U, U, theta.astype(float))
    assert_array_equal(dtheta, wide.astype(np.float32))


@each
def test_gradients_too_large_for_their_dtype_are_infinite_in_silence(backend):
    U, theta = np.full((1, 3, 3, 1), 1e300), AFFINE.identity()[None].astype(np.float32)
    U[0, 1, 1] = 0
    _, dtheta = backends.get(backend).transform_backward(np.ones_like(U), U, theta)
    assert np.isinf(dtheta).any()


@each
def test_gradients_have_the_dtypes_of_the_contract(backend):
    U, theta = np.ones((1, 3, 3, 1), np.float32), SIMILARITY.identity()[None]
    module = backends.get(backend)
    V = module.transform(U, theta, transformation=SIMILARITY)
    dU, dtheta = module.transform_backward(V, U, theta, transformation=SIMILARITY)
    assert (V.dtype, dU.dtype, dtheta.dtype) == (np.float32, np.float32, np.float64)
    _, single = module.transform_backward(V, U, theta.astype(np.float32), transformation=SIMILARITY)
    assert single.dtype == np.float32


@each
@pytest.mark.parametrize("tie", ["right", "left", "central", "paper"])
def test_the_tie_reaches_dtheta(backend, tie, rng):
    U, dV = rng.standard_normal((1, 4, 5, 2)), rng.standard_normal((1, 4, 5, 2))
    theta = AFFINE.identity()[None]
    _, dtheta = backends.get(backend).transform_backward(dV, U, theta, tie=tie)
    xy = source_pixels(theta, AFFINE, (4, 5), (4, 5), True)
    _, dxy, _ = sample_backward(dV, U, xy, tie=tie)
    expected, _ = AFFINE.grid_backward(dxy * [2, 1.5], theta, target_grid((4, 5)))
    assert_allclose(dtheta, expected, atol=1e-13)


@each
@pytest.mark.parametrize("size", [(3, 3), (5, 6), (5, 7)])
def test_on_the_horizon_division_is_ieee_and_nothing_flows_back(backend, size):
    """x + y + 1 is 0 along a line of points, which is nowhere or infinitely far."""
    U, theta = np.ones((1, 5, 6, 1)), np.array([[1.0, 0, 0, 0, 1, 0, 1, 1]])
    dV, how = np.ones((1, *size, 1)), {"transformation": PROJECTIVE}
    ours, theirs = (
        (f.transform(U, theta, size=size, **how), *f.transform_backward(dV, U, theta, **how))
        for f in map(backends.get, (backend, "reference"))
    )
    for found, expected in zip(ours, theirs, strict=True):
        assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert np.isnan(theirs[0]).any() and np.isfinite(theirs[2]).all()


@each
def test_a_users_own_record_of_other_axes_is_refused_by_its_matrix(backend):
    names = ("name", "identity", "grid", "grid_backward", "matrix", "matrix_backward")
    own = SimpleNamespace(**{name: getattr(affine(3), name) for name in names})
    U, theta = np.ones((1, 4, 5, 1)), np.eye(3, 4)[None]
    with pytest.raises(ValueError, match=r"has shape \(4, 4\); expected \(3, 3\)"):
        backends.get(backend).transform(U, theta, transformation=own)
