"""§3.1: θ = f_loc(U)."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref.equations import AFFINE, f_loc, f_loc_backward, initial_layers

U = np.arange(6.0).reshape(1, 2, 3, 1)


def test_the_first_prediction_is_the_identity_whatever_the_image(rng):
    layers = initial_layers(rng, 6, (5, 4), AFFINE.identity())
    assert [W.shape for W, _ in layers] == [(6, 5), (5, 4), (4, 2, 3)]
    images = rng.standard_normal((3, 2, 3, 1))
    assert_array_equal(f_loc(images, layers), np.stack([AFFINE.identity()] * 3))


def test_hidden_weights_are_within_the_fan_in(rng):
    (W, b), _ = initial_layers(rng, 100, (200,), AFFINE.identity())
    for array in (W, b):
        assert 0.09 < np.abs(array).max() <= 0.1
    assert abs(W.mean()) < 0.01


def test_the_bias_is_a_copy_of_the_identity(rng):
    identity = AFFINE.identity()
    layers = initial_layers(rng, 6, (), identity)
    layers[-1][1][:] = 7
    assert_array_equal(identity, AFFINE.identity())


def test_a_network_by_hand():
    hidden = np.array([[1.0, -1.0]] * 6), np.array([0.5, 0.0])
    regression = np.array([[2.0], [3.0]]), np.array([0.25])
    assert_array_equal(f_loc(U, [hidden, regression]), [[2 * 15.5 + 0.25]])


def test_gradients_by_hand():
    hidden = np.array([[1.0, -1.0]] * 6), np.array([0.5, 0.0])
    regression = np.array([[2.0], [3.0]]), np.array([0.25])
    dU, [(dW, db), (dW_theta, db_theta)] = f_loc_backward([[1.0]], U, [hidden, regression])
    assert_array_equal(dU, np.full(U.shape, 2.0))
    assert_array_equal(dW, np.stack([2 * np.arange(6.0), np.zeros(6)], axis=-1))
    assert_array_equal(db, [2, 0])
    assert_array_equal(dW_theta, [[15.5], [0]])
    assert_array_equal(db_theta, [1])


def test_an_empty_batch_has_no_theta_and_no_gradient(rng):
    layers = initial_layers(rng, 6, (4,), AFFINE.identity())
    empty = U[:0]
    assert f_loc(empty, layers).shape == (0, 2, 3)
    dU, dlayers = f_loc_backward(np.ones((0, 2, 3)), empty, layers)
    assert dU.shape == empty.shape and not any(d.any() for layer in dlayers for d in layer)
    blind = initial_layers(rng, 0, (4,), AFFINE.identity())
    assert_array_equal(f_loc(U[..., :0], blind), AFFINE.identity()[None])


def test_layers_may_be_lists():
    layers = [([[1.0]] * 6, [0.0])]
    assert_array_equal(f_loc_backward([[1.0]], U, layers)[0], np.ones(U.shape))


def test_a_single_layer_is_linear_in_the_image(rng):
    W, b = rng.standard_normal((6, 2, 3)), np.zeros((2, 3))
    assert_allclose(f_loc(-3 * U, [(W, b)]), -3 * f_loc(U, [(W, b)]))


def test_gradients_have_the_dtype_of_the_weights():
    layers = [(np.ones((6, 3), np.float32), np.zeros(3, np.float32))]
    theta = f_loc(U.astype(np.float32), layers)
    dU, [(dW, db)] = f_loc_backward(np.ones((1, 3)), U.astype(np.float32), layers)
    assert {a.dtype for a in (theta, dU, dW, db)} == {np.dtype(np.float32)}
