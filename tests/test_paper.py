"""`equations` equals the page wherever it speaks: within 1e-12 of the sum of the absolute terms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from stn_ref import equations as eq
from stn_ref import paper


def test_what_is_wrong_is_not_settled():
    paper.settle("fine", 1.0, 1 + 1e-9)
    with pytest.raises(AssertionError, match="a claim: 1.0 is not 1.001"):
        paper.settle("a claim", 1.0, 1.001)
    measured, predicted = paper.two_slopes(np.sin, lambda dy, x: [dy * np.cos(x)], np.ones(3))
    assert measured == pytest.approx(predicted, rel=1e-8)
    measured, wrong = paper.two_slopes(np.sin, lambda dy, x: [dy * np.sin(x)], np.ones(3))
    assert measured != pytest.approx(wrong, rel=1e-2)


def assert_equal(derived, page, terms):
    assert derived.shape == page.shape
    assert np.all(np.abs(derived - page) <= 1e-12 * terms + 1e-300)


KERNELS = {
    "integer": (eq.INTEGER, paper.integer, lambda t: 0 * t),
    "bilinear": (eq.BILINEAR, paper.bilinear, paper.bilinear_slope),
    "hat": (eq.hat(1.7), lambda t: paper.hat(t, 1.7), lambda t: eq.hat(1.7).dk(t, (1.7,))),
}
sizes = st.tuples(*[st.integers(1, 6)] * 4)
# exact in binary, so on a knot or well away from all: integers, halves, and what lies between
coordinates = st.integers(-3 * 64, 8 * 64).map(lambda p: p / 64) | st.integers(-3, 8).map(float)


@st.composite
def maps(draw):
    """dV, U and xy, half of the points on knots."""
    H, W, I, J = draw(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    xy = [draw(coordinates) for _ in range(2 * I * J * 2)]
    U, dV = rng.standard_normal((2, H, W, 3)), rng.standard_normal((2, I, J, 3))
    return dV, U, np.reshape(xy, (2, I, J, 2))


@pytest.mark.parametrize("name", KERNELS)
@given(maps())
def test_the_sampler_and_its_gradients(name, inputs):
    (dV, U, xy), (kernel, k, dk) = inputs, KERNELS[name]
    absolute = np.abs(dV), np.abs(U), xy
    size = lambda t: np.abs(dk(t))  # noqa: E731

    assert_equal(
        eq.sample(U, xy, kernel=kernel), paper.sample(U, xy, k), paper.sample(*absolute[1:], k)
    )
    dU, dxy, _ = eq.sample_backward(dV, U, xy, kernel=kernel, tie="right")
    page = paper.sample_backward_U(dV, U, xy, k)
    assert_equal(dU, page, paper.sample_backward_U(*absolute, k))
    page = paper.sample_backward_xy(dV, U, xy, k, dk)
    assert_equal(dxy, page, paper.sample_backward_xy(*absolute, k, size))


@given(maps(), st.integers(33, 200).map(lambda w: w / 64))
def test_the_gradient_of_a_kernels_parameter(inputs, width):
    dV, U, xy = inputs
    functions = lambda t: paper.hat(t, width), lambda t: paper.hat_dPhi(t, width)  # noqa: E731
    _, _, dPhi = eq.sample_backward(dV, U, xy, kernel=eq.hat(width))
    page = np.array(paper.sample_backward_Phi(dV, U, xy, *functions))
    terms = np.array(paper.sample_backward_Phi(np.abs(dV), np.abs(U), xy, *functions))
    assert_equal(np.concatenate(dPhi), page, terms)


@given(sizes)
def test_the_lattice_and_its_pixels_to_the_bit(size):
    H, W, I, J = size
    G = paper.target_grid(I, J)
    assert_array_equal(eq.target_grid((I, J)), G)
    assert_array_equal(eq.to_pixels(G[None], (H, W)), paper.to_pixels(G[None], H, W))
    assert_array_equal(
        eq.to_pixels_backward(G[None], (H, W)), paper.to_pixels_backward(G[None], H, W)
    )


MESH = (
    np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [0.13, 0.07]]),
    np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
)
POINTS = eq.target_grid((4, 4)).reshape(-1, 2)


def by_basis(basis, *anchors):
    """A basis of the page as a grid, and the way back to θ."""
    return (
        lambda theta, G: paper.linear_grid(theta, basis(G, *anchors)),
        lambda d, theta, G: paper.linear_grid_backward(d, theta, basis(G, *anchors))[:1],
    )


TRANSFORMATIONS = {
    "affine": (eq.AFFINE, paper.affine_grid, paper.affine_grid_backward),
    "attention": (
        eq.ATTENTION,
        lambda theta, G: paper.affine_grid(paper.attention(theta), G),
        lambda d, theta, G: [
            paper.attention_backward(paper.affine_grid_backward(d, theta_to_A(theta), G)[0], theta)
        ],
    ),
    "projective": (eq.PROJECTIVE, paper.projective_grid, paper.projective_grid_backward),
    "mesh": (eq.piecewise_affine(*MESH), *by_basis(paper.mesh_basis, *MESH)),
    "spline": (eq.thin_plate_spline(), *by_basis(paper.spline_basis, POINTS)),
}


def theta_to_A(theta):
    return paper.attention(theta)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@given(st.integers(0, 2**32))
def test_a_transformation_and_its_gradients(name, seed):
    transformation, grid, backward = TRANSFORMATIONS[name]
    rng = np.random.default_rng(seed)
    start = transformation.identity()
    theta = start + rng.uniform(-0.3, 0.3, (2, *start.shape))
    G, d = rng.uniform(-1.2, 1.2, (4, 5, 2)), rng.standard_normal((2, 4, 5, 2))
    large = 100.0  # of no term here is there more: |w| ≥ 1 − .6 · 1.2, and the spline's B ≤ 10
    assert_equal(transformation.grid(theta, G), grid(theta, G), large)
    derived = transformation.grid_backward(d, theta, G)
    for ours, page in zip(derived, backward(d, theta, G), strict=False):
        assert_equal(ours, page, large)


@st.composite
def modules(draw):
    """dV, U and the layers of an f_loc, which answers the identity half of the time."""
    H, W, I, J = draw(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    last = 0 if draw(st.booleans()) else 0.05
    units, inputs, layers = draw(st.sampled_from([(), (4,), (4, 3)])), H * W * 2, []
    for count in units:
        layers.append((rng.uniform(-0.5, 0.5, (inputs, count)), rng.uniform(-0.5, 0.5, count)))
        inputs = count
    regression = last * rng.standard_normal((inputs, 2, 3)), eq.AFFINE.identity()
    return (
        rng.standard_normal((2, I, J, 2)),
        rng.standard_normal((2, H, W, 2)),
        [*layers, regression],
    )


@given(modules())
def test_the_module_and_its_gradients(inputs):
    dV, U, layers = inputs
    size = dV.shape[1:3]
    theta = paper.localisation(U, layers)
    seen = paper.localisation(np.abs(U), [(np.abs(W), np.abs(b)) for W, b in layers]).max()
    assert_equal(eq.f_loc(U, layers), theta, seen)
    page = paper.spatial_transformer(U, layers, *size)
    assert_equal(eq.spatial_transformer(U, layers, size=size), page, 10 * np.abs(U).max() * seen)

    dU, dlayers = eq.spatial_transformer_backward(dV, U, layers)
    dU_page, dlayers_page = paper.spatial_transformer_backward(dV, U, layers)
    terms = absolute_terms(dV, U, layers)
    for ours, page in zip([dU, *sum(dlayers, ())], [dU_page, *sum(dlayers_page, ())], strict=True):
        assert_equal(ours, page, terms)


def absolute_terms(dV, U, layers):
    """A bound of every sum of the way back: all its terms, each without its sign."""
    dV, U, positive = np.abs(dV), np.abs(U), [(np.abs(W), np.abs(b)) for W, b in layers]
    dA = 2 * dV.sum() * U.max() * max(U.shape)
    dU, dlayers = paper.localisation_backward(np.full((len(U), 2, 3), dA), U, positive)
    return max(dA, dV.sum(), dU.max(), *(d.max() for layer in dlayers for d in layer))
