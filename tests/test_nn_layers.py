"""Layers and networks of them: values by hand, gradients against differences, and manners."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stn_ref import check_gradients, nn, sample
from stn_ref import equations as eq
from stn_ref.data import pace
from stn_ref.experiments.models import TRANSFORMATIONS
from stn_ref.nn import (
    AveragePool,
    AveragePool2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Parallel,
    Project,
    Relu,
    Sequential,
    convolutional,
    fully_connected,
    softmax_cross_entropy,
    warps,
)
from stn_ref.nn.layer import backward_to_params
from stn_ref.nn.trees import cast, count, mapped, named, renamed
from tests.networks import check_network, leaves, moved, same_bits, source_points

SHAPE = (7, 8, 2)


def transformer(localisation=None, **options):
    localisation = fully_connected(5) if localisation is None else localisation
    return nn.SpatialTransformer(localisation, **{"backend": "reference"} | options)


SMALL = convolutional(2, size=3, units=6)
NETWORKS = {
    "dense": Sequential(Flatten(), Dense(3)),
    "a perceptron": Sequential(fully_connected(4, 3), Dense(2)),
    "nothing to learn": Sequential(Relu(), MaxPool2d(2), Flatten()),
    "one transformer": transformer(),
    "a convolutional localisation network": transformer(SMALL),
    "three layers deep": transformer(fully_connected(5, 4, 3)),
    "a linear localisation network": transformer(Flatten()),
    "a smaller output": transformer(size=(4, 3), padding="border", align_corners=False),
    "a larger output": transformer(size=(9, 11), kernel=eq.keys()),
    "in the middle": Sequential(
        Conv2d(3, 3, padding=1), Relu(), transformer(SMALL), AveragePool2d(2), Flatten(), Dense(3)
    ),
    "two in series": Sequential(
        transformer(size=(6, 6)), Conv2d(2, 3), Relu(), transformer(), Flatten(), Dense(3)
    ),
    "three in series": Sequential(transformer(), transformer(), transformer()),
    "two in parallel": Sequential(
        Parallel(transformer(), transformer(SMALL)), MaxPool2d(2), Flatten(), Dense(3)
    ),
    "parallel of different channels": Parallel(
        transformer(), Conv2d(3, 3, padding=1), Sequential(Relu(), transformer(SMALL))
    ),
    "parallel of vectors": Parallel(NESTED := Sequential(Flatten(), Dense(2)), fully_connected(3)),
    "networks in networks": Sequential(Relu(), Sequential(Relu(), Sequential(NESTED, Relu()))),
    "signals": Sequential(
        transformer(transformation=pace(4), size=(6,)), Relu(), AveragePool(2), Flatten(), Dense(2)
    ),
    "volumes": Sequential(
        transformer(Sequential(AveragePool(2), fully_connected(4)), transformation=eq.affine(3)),
        *(Project(), Conv2d(2, 2), Flatten(), Dense(3)),
    ),
    "volumes, then maps, then signals": Sequential(
        transformer(transformation=eq.attention(3), size=(3, 3, 4), align_corners=False),
        *(Project(), transformer(), Project(), transformer(transformation=eq.translation(1))),
    ),
}
SHAPES = dict.fromkeys(NETWORKS, SHAPE) | {
    "signals": (8, 2),
    "volumes": (4, 3, 5, 2),
    "volumes, then maps, then signals": (3, 4, 2, 1),
}


@pytest.fixture
def x(rng, request):
    """A batch, and where the test goes over NETWORKS, one for this."""
    case = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return rng.standard_normal((2, *SHAPES.get(case.get("name"), SHAPE)))


def trained(network, rng, shape=SHAPE):
    """Weights that are off the identity, where every point is a knot."""
    return moved(network.initialise(rng, shape)[0], rng)


# --- every network ---


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_x_and_of_every_weight_agree_with_differences(name, x, rng):
    check_network(NETWORKS[name], trained(NETWORKS[name], rng, SHAPES[name]), x, rng)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("localisation", [fully_connected(3), SMALL], ids=["dense", "conv"])
def test_every_transformation_learns_by_right_gradients(name, localisation, x, rng):
    network = transformer(localisation, transformation=TRANSFORMATIONS[name])
    check_network(network, trained(network, rng), x, rng)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shape_that_was_promised_comes_out_for_any_batch(name, rng):
    params, shape = NETWORKS[name].initialise(rng, SHAPES[name])
    for batch in (0, 1, 3):
        x = rng.standard_normal((batch, *SHAPES[name]))
        y, cache = NETWORKS[name].forward(params, x)
        assert y.shape == (batch, *shape)
        dx, _ = NETWORKS[name].backward(y, cache)
        assert dx.shape == x.shape


@pytest.mark.parametrize("name", NETWORKS)
def test_dparams_are_alike_to_params_and_the_shortcut_gives_the_same_bits(name, x, rng):
    network = NETWORKS[name]
    params = trained(network, rng, SHAPES[name])
    y, cache = network.forward(params, x)
    dy = rng.standard_normal(y.shape)
    _, dparams = network.backward(dy, cache)
    assert renamed(dparams) == renamed(params)
    assert [d.shape for d in leaves(dparams)] == [w.shape for w in leaves(params)]
    assert all(d.any() for d in leaves(dparams))
    assert same_bits(backward_to_params(network, dy, cache), dparams)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_precision_stays_single_and_is_near_double(name, x, rng):
    network = NETWORKS[name]
    params, dy = trained(network, rng, SHAPES[name]), None
    found = []
    for dtype in (np.float64, np.float32):
        y, cache = network.forward(cast(params, dtype), x.astype(dtype))
        dy = rng.standard_normal(y.shape) if dy is None else dy
        dx, dparams = network.backward(dy.astype(dtype), cache)
        results = [y, dx, *leaves(dparams)]
        assert {r.dtype for r in results} == {np.dtype(dtype)}
        found.append(results)
    for double, single in zip(*found, strict=True):
        assert_allclose(single, double, atol=1e-4 * max(1, np.abs(double).max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_in_double_take_images_in_single_there_and_back(name, x, rng):
    """As `initialise` makes them, whatever comes before and after a transformer."""
    network = NETWORKS[name]
    params = trained(network, rng, SHAPES[name])
    x = x.astype(np.float32)
    y, cache = network.forward(params, x)
    dx, dparams = network.backward(rng.standard_normal(y.shape), cache)
    assert dx.shape == x.shape and same_bits(dparams, cast(dparams, np.float64))


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_written_to_so_that_going_back_twice_gives_the_same(name, x, rng):
    network = NETWORKS[name]
    params = trained(network, rng, SHAPES[name])
    y, _ = network.forward(params, x)
    dy = rng.standard_normal(y.shape)
    inputs = (x, dy, *leaves(params))
    for array in inputs:
        array.flags.writeable = False
    y, cache = network.forward(params, x)
    y.flags.writeable = False
    once, twice = network.backward(dy, cache), network.backward(dy, cache)
    assert same_bits(once, twice)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_generator_alone_decides_the_first_weights(name):
    network, shape = NETWORKS[name], SHAPES[name]
    first, again, other = (
        network.initialise(np.random.default_rng(seed), shape)[0] for seed in (1, 1, 2)
    )
    assert same_bits(first, again)
    nothing_drawn = name in ("nothing to learn", "a linear localisation network")
    assert same_bits(first, other) == nothing_drawn
    assert all(leaf.dtype == np.float64 for leaf in leaves(first))


# --- by hand ---


def test_a_dense_layer_by_hand():
    params = {"W": np.array([[1.0, 0], [2, -1], [0, 3]]), "b": np.array([10.0, 20])}
    x = np.array([[1.0, 2, 3], [0, 1, -1]])
    y, cache = Dense(2).forward(params, x)
    assert_array_equal(y, [[15, 27], [12, 16]])
    dx, dparams = Dense(2).backward(np.array([[1.0, 0], [2, 1]]), cache)
    assert_array_equal(dx, [[1, 2, 0], [2, 3, 3]])
    assert_array_equal(dparams["W"], [[1, 0], [4, 1], [1, -1]])
    assert_array_equal(dparams["b"], [3, 1])


def test_first_weights_are_within_one_over_the_root_of_the_inputs(rng):
    params, shape = Dense(500).initialise(rng, (16,))
    assert shape == (500,) and params["W"].shape == (16, 500)
    for leaf in leaves(params):
        assert 0.24 < leaf.max() <= 0.25 and -0.25 <= leaf.min() < -0.24


def test_the_rectifier_by_hand_and_off_at_zero():
    y, cache = Relu().forward((), np.array([[-1.0, 0, 2]]))
    assert_array_equal(y, [[0, 0, 2]])
    dx, _ = Relu().backward(np.array([[5.0, 6, 7]]), cache)
    assert_array_equal(dx, [[0, 0, 7]])


def test_flatten_goes_row_by_row_and_back(x):
    y, cache = Flatten().forward((), x)
    assert_array_equal(y[1], [*x[1].flat])
    assert_array_equal(Flatten().backward(y, cache)[0], x)


@pytest.mark.parametrize("sides", [(7,), (4, 5), (4, 2, 5)])
def test_a_pool_takes_the_mean_of_so_many_in_a_row_along_every_side(sides, rng):
    x = rng.standard_normal((2, *sides, 3))
    y, cache = AveragePool(2).forward((), x)
    assert y.shape == (2, *(S // 2 for S in sides), 3)
    for place in np.ndindex(y.shape[1:-1]):
        cube = tuple(slice(2 * k, 2 * k + 2) for k in place)
        expected = x[(slice(None), *cube)].reshape(2, -1, 3).mean(axis=1)
        assert_allclose(y[(slice(None), *place)], expected, atol=1e-15)
    dx, _ = AveragePool(2).backward(np.ones_like(y), cache)
    assert_allclose(dx.sum(), y.size)
    if len(sides) == 2:
        assert_array_equal(AveragePool2d(2).forward((), x)[0], y)


def test_a_projection_is_the_mean_along_the_depth(rng):
    x = rng.standard_normal((2, 4, 3, 5, 2))
    y, cache = Project().forward((), x)
    assert_allclose(y[1, 2, 4], (x[1, 0, 2, 4] + x[1, 1, 2, 4] + x[1, 2, 2, 4] + x[1, 3, 2, 4]) / 4)
    dx, _ = Project().backward(y, cache)
    assert_array_equal(dx, np.stack([y / 4] * 4, axis=1))


def test_sequential_is_one_layer_after_another(rng):
    network = Sequential(Dense(3), Relu(), Dense(1))
    params, shape = network.initialise(rng, (2,))
    assert shape == (1,) and list(renamed(params)) == [{"W": "0/W", "b": "0/b"}, (), {
        "W": "2/W", "b": "2/b"}]  # fmt: skip
    x = rng.standard_normal((4, 2))
    hidden = np.maximum(0, x @ params[0]["W"] + params[0]["b"])
    assert_allclose(network.forward(params, x)[0], hidden @ params[2]["W"] + params[2]["b"])


def test_parallel_layers_see_the_same_and_their_channels_go_side_by_side(x, rng):
    layers = (Conv2d(1, 3, padding=1), Relu(), Conv2d(4, 3, padding=1))
    network = Parallel(*layers)
    params, shape = network.initialise(rng, SHAPE)
    assert shape == (*SHAPE[:2], 7)
    y, cache = network.forward(params, x)
    ys = [layer.forward(p, x) for layer, p in zip(layers, params, strict=True)]
    assert_array_equal(y, np.concatenate([own for own, _ in ys], axis=-1))
    dy = rng.standard_normal(y.shape)
    parts = (dy[..., :1], dy[..., 1:3], dy[..., 3:])
    back = [a.backward(d, c) for a, d, (_, c) in zip(layers, parts, ys, strict=True)]
    dx, dparams = network.backward(dy, cache)
    assert_allclose(dx, back[0][0] + back[1][0] + back[2][0])
    assert same_bits(dparams, tuple(d for _, d in back))


def test_the_loss_by_hand():
    logits = np.log([[1.0, 1, 2], [3, 1, 4]])
    loss, dlogits = softmax_cross_entropy(logits, np.array([2, 0]))
    assert np.isclose(loss, (np.log(2) + np.log(8 / 3)) / 2)
    assert_allclose(dlogits, np.array([[0.25, 0.25, -0.5], [3 / 8 - 1, 1 / 8, 0.5]]) / 2)


def test_the_loss_does_not_care_about_a_common_shift_however_large(rng):
    logits, labels = rng.standard_normal((5, 4)), rng.integers(4, size=5)
    loss, dlogits = softmax_cross_entropy(logits, labels)
    for shift in (1e4, -1e4):
        other, dother = softmax_cross_entropy(logits + shift, labels)
        assert np.isclose(loss, other) and np.allclose(dlogits, dother)
    assert softmax_cross_entropy(np.array([[0.0, -2000]]), np.array([1]))[0] == 2000


def test_the_gradient_of_the_loss(rng):
    labels = rng.integers(4, size=5)
    check_gradients(
        lambda z: np.array([softmax_cross_entropy(z, labels)[0]]),
        lambda dloss, z: dloss * softmax_cross_entropy(z, labels)[1],
        rng.standard_normal((5, 4)),
        rng=rng,
    ).raise_if_wrong()
    single = rng.standard_normal((5, 4)).astype(np.float32)
    assert softmax_cross_entropy(single, labels.astype(np.uint8))[1].dtype == np.float32


# --- the transformer ---


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("localisation", [fully_connected(3), SMALL], ids=["dense", "conv"])
def test_the_first_output_is_the_input(name, dtype, localisation, x, rng):
    T = TRANSFORMATIONS[name]
    network = transformer(localisation, transformation=T)
    params, shape = network.initialise(rng, SHAPE)
    assert shape == SHAPE
    x = x.astype(dtype)
    V, warp = network.forward(cast(params, dtype), x)
    assert_array_equal(warp.theta, np.stack([T.identity()] * 2).astype(dtype))
    if T.matrix is None:
        assert_allclose(V, x, atol=30 * np.finfo(dtype).eps)
    else:
        assert_array_equal(V, x)


def test_the_regression_layer_alone_decides_the_first_theta(rng):
    params, _ = transformer(fully_connected(6, 5)).initialise(rng, SHAPE)
    *hidden, regression = params["f_loc"]
    assert regression["W"].shape == (5, 6) and not regression["W"].any()
    assert_array_equal(regression["b"], eq.AFFINE.identity().ravel())
    assert all(leaf.all() for leaf in leaves(hidden[0]))
    regression["b"] += 1
    assert_array_equal(eq.AFFINE.identity(), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("size", [None, (4, 3)])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_it_is_the_module_of_the_paper(name, size, align_corners, x, rng):
    T = TRANSFORMATIONS[name]
    options = {"transformation": T, "kernel": (eq.BILINEAR, eq.keys()), "padding": "border"}
    options["align_corners"] = align_corners
    network = transformer(fully_connected(5, 4), size=size, **options)
    params = trained(network, rng)
    (_, first, _, second, _), _, last = params["f_loc"]
    theta = T.identity().shape
    regression = (last["W"].reshape(4, *theta), last["b"].reshape(theta))
    layers = [(first["W"], first["b"]), (second["W"], second["b"]), regression]
    V, warp = network.forward(params, x)
    assert_allclose(V, eq.spatial_transformer(x, layers, size=size, **options), atol=1e-12)
    assert_allclose(warp.theta, eq.f_loc(x, layers), atol=1e-14)

    dV = rng.standard_normal(V.shape)
    dU, dparams = network.backward(dV, warp)
    expected_dU, expected = eq.spatial_transformer_backward(dV, x, layers, **options)
    assert_allclose(dU, expected_dU, atol=1e-11)
    for found, wanted in zip(leaves(dparams), [a for pair in expected for a in pair], strict=True):
        assert_allclose(found, wanted.reshape(found.shape), atol=1e-10)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [None, (4, 3)])
def test_what_it_looked_at_can_be_seen(size, align_corners, x, rng):
    network = transformer(size=size, align_corners=align_corners)
    V, cache = network.forward(trained(network, rng), x)
    ((found, warp),) = warps(network, cache)
    assert found is network
    assert_array_equal(warp.U, x)
    assert_array_equal(warp.V, V)
    assert warp.theta.shape == (2, 2, 3)
    assert network.grid(warp).shape == (2, *(size or SHAPE[:2]), 2)
    xy = source_points(network, warp)
    assert_allclose(sample(x, xy, backend="reference"), V, atol=1e-12)


def test_transformers_are_listed_in_order_wherever_they_are(x, rng):
    a, b, c, d = (transformer(size=(4 + k, 5)) for k in range(4))
    network = Sequential(a, Relu(), Sequential(b), Parallel(replace(c, size=(9, 5)), Sequential(
        Relu(), replace(d, size=(9, 5)))), Flatten(), Dense(2))  # fmt: skip
    _, cache = network.forward(network.initialise(rng, SHAPE)[0], x)
    found = list(warps(network, cache))
    assert [t.size[0] for t, _ in found] == [4, 5, 9, 9]
    assert [w.U.shape[1] for _, w in found] == [7, 4, 5, 5]
    assert not list(warps(Sequential(Relu()), Sequential(Relu()).forward(((),), x)[1]))


def test_a_batch_is_its_images_one_by_one(rng):
    network = NETWORKS["in the middle"]
    params, x = trained(network, rng), rng.standard_normal((3, *SHAPE))
    y, _ = network.forward(params, x)
    for b in range(3):
        assert_allclose(network.forward(params, x[b : b + 1])[0][0], y[b], atol=1e-13)


def test_a_size_may_be_any_two_integers(x, rng):
    network = transformer(size=np.array([4, 3]))
    assert network == transformer(size=(4, 3)) == transformer(size=[4, 3])
    params, shape = network.initialise(rng, SHAPE)
    assert network.forward(params, x)[0].shape[1:] == shape == (4, 3, 2)


@pytest.mark.parametrize("axes", (1, 2, 3))
def test_the_transformation_says_how_many_axes_it_warps(axes):
    matrix, spline = eq.affine(axes), eq.compose(pace(3), pace(2))
    if axes > 1:
        spline = eq.thin_plate_spline(eq.target_grid((2,) * axes).reshape(-1, axes))
    for T in (matrix, spline, eq.compose(matrix, spline)):
        assert transformer(transformation=T).axes == (axes,)
    flat = replace(matrix, matrix=None, grid=lambda theta, G: G[None, ..., :axes])
    assert transformer(transformation=flat).axes == tuple(range(1, axes + 1))


def test_a_transformation_of_ones_own_may_warp_any(rng):
    def grid(theta, G):
        return theta.reshape(-1, *[1] * (G.ndim - 1), 1) * G

    stretch = eq.Transformation("stretch", lambda: np.ones(1), grid, lambda *given: given)
    network = transformer(transformation=stretch, size=(3,))
    assert network.axes == transformer(transformation=replace(stretch, grid=None)).axes == (1, 2, 3)
    for axes in (1, 2, 3):
        network = transformer(transformation=stretch)
        x = rng.standard_normal((2, 3, 4, 5, 2)[: axes + 2])
        V, warp = network.forward(network.initialise(rng, x.shape[1:])[0], x)
        assert_allclose(V, x)
        assert network.grid(warp).shape == (*x.shape[:-1], axes)


# --- localisation networks ---


def test_localisation_networks_have_the_layers_that_were_asked_for():
    assert fully_connected() == Sequential(Flatten())
    assert fully_connected(7, 6) == Sequential(Flatten(), Dense(7), Relu(), Dense(6), Relu())
    assert convolutional(8, 9, size=3, units=4) == Sequential(
        *(Conv2d(8, 3), MaxPool2d(2), Relu(), Conv2d(9, 3), MaxPool2d(2), Relu()),
        *(Flatten(), Dense(4), Relu()),
    )
    assert convolutional(20) == convolutional(20, size=5, units=20)


# --- trees ---


def test_weights_have_names_and_are_counted(rng):
    network = Sequential(Relu(), transformer(fully_connected(3)), Flatten(), Dense(2))
    params, _ = network.initialise(rng, (2, 2, 1))
    assert {name: leaf.shape for name, leaf in named(params)} == {
        "1/f_loc/0/1/W": (4, 3),
        "1/f_loc/0/1/b": (3,),
        "1/f_loc/2/W": (3, 6),
        "1/f_loc/2/b": (6,),
        "3/W": (4, 2),
        "3/b": (2,),
    }
    assert count(params) == 12 + 3 + 18 + 6 + 8 + 2
    assert mapped(lambda name, leaf: dict(named(params))[name] is leaf, renamed(params), params)
    assert all(leaves(mapped(np.array_equal, params, cast(params, np.longdouble))))
