"""§3.4: localise, make the grid, sample."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import (
    AFFINE,
    ATTENTION,
    BILINEAR,
    f_loc,
    f_loc_backward,
    initial_layers,
    keys,
    sample,
    sample_backward,
    spatial_transformer,
    spatial_transformer_backward,
    target_grid,
    to_pixels,
)
from tests.strategies import TRANSFORMATIONS


@pytest.fixture
def U(rng):
    return rng.standard_normal((2, 5, 6, 3))


def test_it_starts_as_the_identity(U, rng):
    layers = initial_layers(rng, 90, (8,), AFFINE.identity())
    assert_allclose(spatial_transformer(U, layers), U, atol=1e-13)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda t: t.name)
@pytest.mark.parametrize("align_corners", [True, False])
def test_it_is_its_three_parts(U, rng, transformation, align_corners):
    identity = transformation.identity()
    layers = [(rng.uniform(-0.02, 0.02, (90, *identity.shape)), identity)]
    options = {"kernel": (BILINEAR, keys()), "padding": "border"}
    V = spatial_transformer(
        U,
        layers,
        transformation=transformation,
        size=(4, 3),
        align_corners=align_corners,
        **options,
    )
    G = target_grid((4, 3), align_corners=align_corners)
    grid = transformation.grid(f_loc(U, layers), G)
    xy = to_pixels(grid, (5, 6), align_corners=align_corners)
    assert V.shape == (2, 4, 3, 3)
    assert_array_equal(V, sample(U, xy, **options))


def test_the_image_is_reached_twice(U, rng):
    """With a constant f_loc only Eq. 6 carries to U; with a seeing one f_loc adds its share."""
    identity = ATTENTION.identity() + 0.1
    blind = [(np.zeros((90, 3)), identity)]
    seeing = [(rng.uniform(-0.01, 0.01, (90, 3)), identity)]
    dV = rng.standard_normal(U.shape)
    for layers in (blind, seeing):
        f = lambda U, layers=layers: np.sum(  # noqa: E731
            dV * spatial_transformer(U, layers, transformation=ATTENTION)
        )
        dU, dlayers = spatial_transformer_backward(dV, U, layers, transformation=ATTENTION)
        d = rng.standard_normal(U.shape)
        measured = (f(U + 1e-7 * d) - f(U - 1e-7 * d)) / 2e-7
        assert_allclose(np.sum(dU * d), measured, rtol=1e-6)
        assert [a.shape for a in dlayers[0]] == [(90, 3), (3,)]


def test_every_option_reaches_the_way_back(U, rng):
    identity = ATTENTION.identity()
    layers = [(rng.uniform(-0.01, 0.01, (90, 3)), identity)]
    options = {"kernel": (keys(), BILINEAR), "padding": "border", "tie": "left"}
    dV = rng.standard_normal((2, 4, 3, 3))
    dU, [(_, db)] = spatial_transformer_backward(
        dV, U, layers, transformation=ATTENTION, align_corners=False, **options
    )
    G = target_grid((4, 3), align_corners=False)
    theta = f_loc(U, layers)
    xy = to_pixels(ATTENTION.grid(theta, G), (5, 6), align_corners=False)
    dU_sampled, dxy, _ = sample_backward(dV, U, xy, **options)
    dtheta, _ = ATTENTION.grid_backward(dxy * [3, 2.5], theta, G)
    assert_allclose(db, dtheta.sum(axis=0), rtol=1e-12)
    assert_allclose(dU - dU_sampled, f_loc_backward(dtheta, U, layers)[0], atol=1e-12)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda t: t.name)
def test_empty_batches_and_outputs_give_empty_results(U, rng, transformation):
    layers = initial_layers(rng, 90, (4,), transformation.identity())
    options = {"transformation": transformation}
    for image, size in ((U[:0], (4, 3)), (U, (0, 3)), (U, (4, 0))):
        V = spatial_transformer(image, layers, size=size, **options)
        assert V.shape == (len(image), *size, 3)
        dU, dlayers = spatial_transformer_backward(V, image, layers, **options)
        assert dU.shape == image.shape
        assert not dU.any() and not any(d.any() for layer in dlayers for d in layer)


def test_the_gradient_keeps_the_layout_of_the_image(U, rng):
    planar = np.ascontiguousarray(U.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    layers = initial_layers(rng, 90, (4,), AFFINE.identity())
    dU, _ = spatial_transformer_backward(planar, planar, layers)
    assert dU.strides == planar.strides


def test_eq_7_as_printed_reaches_theta(U, rng):
    layers = initial_layers(rng, 90, (4,), AFFINE.identity())
    dV = np.ones(U.shape)
    right, paper = (
        spatial_transformer_backward(dV, U, layers, tie=tie)[1][-1][1] for tie in ("right", "paper")
    )
    assert not np.allclose(right, paper)
